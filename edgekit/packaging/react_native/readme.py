"""The README of a package for React Native: five lines of code, what was measured, and what Metro has to know."""

from __future__ import annotations

from pathlib import Path
from string import Template

from ..javascript.contract import keys
from ..javascript.npm import npm_name
from ..javascript.text import no_pictures, raw_bits, tarball, tensor_table, threads
from ..readme import measured_lines
from ..source import PackageSource
from .runtimes import NativeRuntime

_TEMPLATE = Path(__file__).with_name("templates") / "README.md"
_PICTURES = """\
`runPicture` prepares the picture in exactly the arithmetic that the model was calibrated with. React Native has no decoder of
its own: the pixels come from the camera or a library. Those that are not upright yet also need `orientation` (EXIF, 1 to 8)."""
_FILE = "ONNX Runtime opens a file:\n`expo-asset`, or whatever copies an asset to a file, gives its path; bytes are taken too."


def readme(source: PackageSource, runtime: NativeRuntime, peer: str) -> str:
    """In Markdown. ``peer``: the range of versions of the runtime."""
    is_onnx = runtime.extension == "onnx"
    return Template(_TEMPLATE.read_text("utf-8")).substitute(
        name=npm_name(source),
        version=source.version,
        tarball=tarball(source),
        peers=" ".join((f"{runtime.package}@{peer}", *runtime.also)),
        code="\n".join(_five_lines(source, runtime)),
        preprocessing=_PICTURES if source.preprocess else no_pictures(),
        extension=runtime.extension,
        asset=_FILE if is_onnx else "",
        measured="\n".join(measured_lines(source)),
        threads=threads(source) if is_onnx else f"the runtime chooses its threads itself (measured: {threads(source)})",
        model_option="model: asset.localUri!, " if is_onnx else "",
        tensors=tensor_table(source),
        raw_bits=raw_bits(source),
        checked=f"{runtime.package} {runtime.checked}",
    )


def _five_lines(source: PackageSource, runtime: NativeRuntime) -> list[str]:
    names = keys(source)
    output = names["output", source.outputs[0].original.name]
    has_pictures, is_onnx = source.preprocess is not None, runtime.extension == "onnx"
    imported = ["best"] * has_pictures + ["load"] + ["MODEL"] * is_onnx
    lines = [f'import {{ {", ".join(imported)} }} from "{npm_name(source)}";']
    if is_onnx:
        lines += ['import { Asset } from "expo-asset";', "", "const [asset] = await Asset.loadAsync(MODEL); // the model as a file"]
        lines += ["const model = await load({ model: asset.localUri! });"]
    else:
        lines += ["", "const model = await load();"]
    if has_pictures:
        return [
            *lines,
            f"const {{ {output} }} = await model.runPicture({{ data, width, height }}); // RGB or RGBA bytes, row by row",
            f"console.log(best({output}, model.contract.labels)[0]);",
        ]
    inputs = ", ".join(names["input", tensor.original.name] for tensor in source.inputs)
    return [
        *lines,
        f"const {{ {output} }} = await model.run({{ {inputs} }}); // see Tensors",
        f"console.log({output}.dims, {output}.data);",
    ]
