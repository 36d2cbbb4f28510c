"""The README of a package for the web: five lines of code, what was measured, and what has to be served."""

from __future__ import annotations

from pathlib import Path
from string import Template

from ..javascript.contract import keys
from ..javascript.npm import npm_name
from ..javascript.text import no_pictures, raw_bits, tarball, tensor_table, threads
from ..readme import measured_lines
from ..source import PackageSource
from .runtimes import WebRuntime

_TEMPLATE = Path(__file__).with_name("templates") / "README.md"
_PICTURES = """\
`runPicture` prepares the picture in exactly the arithmetic that the model was calibrated with. It also takes an `ImageData`, or
`{ data, width, height }` with RGB or RGBA bytes."""


def readme(source: PackageSource, runtime: WebRuntime, peer: str) -> str:
    """In Markdown. ``peer``: the range of versions of the runtime."""
    return Template(_TEMPLATE.read_text("utf-8")).substitute(
        name=npm_name(source),
        version=source.version,
        tarball=tarball(source),
        peer=f"{runtime.package}@{peer}",
        code="\n".join(_five_lines(source)),
        preprocessing=_PICTURES if source.preprocess else no_pictures(),
        measured="\n".join(measured_lines(source)),
        runtime=runtime.title,
        threads=threads(source),
        tensors=tensor_table(source),
        raw_bits=raw_bits(source),
        found=runtime.found,
        served="\n".join(f"- `{file}` (`node_modules/{path}`){_when(runtime, file)}" for file, path in runtime.files.items()),
    )


def _five_lines(source: PackageSource) -> list[str]:
    names = keys(source)
    output = names["output", source.outputs[0].original.name]
    if source.preprocess is not None:
        return [
            f'import {{ best, decodePicture, load }} from "{npm_name(source)}";',
            "",
            "const model = await load();",
            "const picture = await decodePicture(file); // a File or Blob: JPEG, PNG, WebP ...",
            f"const {{ {output} }} = await model.runPicture(picture);",
            f"console.log(best({output}, model.contract.labels)[0]);",
        ]
    inputs = ", ".join(names["input", tensor.original.name] for tensor in source.inputs)
    return [
        f'import {{ load }} from "{npm_name(source)}";',
        "",
        "const model = await load();",
        f"const {{ {output} }} = await model.run({{ {inputs} }}); // see Tensors",
        f"console.log({output}.dims, {output}.data);",
    ]


def _when(runtime: WebRuntime, file: str) -> str:
    if file in runtime.imports.values():
        return ": on a page without a bundler, which otherwise takes it into the application"
    if file in runtime.threaded:
        return ": with more than one thread"
    return ": where the browser has no relaxed SIMD" if "compat" in file else ""
