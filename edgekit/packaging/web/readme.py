"""The README of a package for the web: five lines of code, what was measured, and what has to be served."""

from __future__ import annotations

from ..javascript.contract import keys
from ..javascript.npm import npm_name
from ..readme import measured_lines, tensor_lines
from ..source import PackageSource
from .runtimes import WebRuntime


def readme(source: PackageSource, runtime: WebRuntime, peer: str) -> str:
    """In Markdown. ``peer``: the range of versions of the runtime."""
    names = keys(source)
    identifiers = {f"{role} {name}": key for (role, name), key in names.items()}
    tarball = npm_name(source).lstrip("@").replace("/", "-")
    lines = [
        f"# {npm_name(source)} {source.version}",
        "",
        f"    npm install ./{tarball}-{source.version}.tgz {runtime.package}@{peer}      # after `npm pack` in this folder",
        "",
        "```js",
        *_five_lines(source, names),
        "```",
        "",
        *_preprocessing(source),
        "",
        "## What was measured",
        "",
        *measured_lines(source),
        "",
        f"These are numbers of the device named, not of a browser: there {runtime.title} computes in WebAssembly, which is slower. `model.run`",
        "does what was measured: the recorded preprocessing, quantization where the file holds integers, and "
        f"{source.threads} thread{'s' * (source.threads != 1)}.",
        "`await model.selfTest()` runs the stored synthetic example and compares with the output recorded when the bundle was made.",
        "",
        "## Tensors",
        "",
        *tensor_lines(source, identifiers),
        "",
        "Inputs and outputs are `{ data, dims }`; an input whose sizes are all fixed may also be its array alone. `model.close()` frees the model.",
        *_raw_bits(source),
        "",
        "## What is served",
        "",
        f"The model and `golden.bin` are fetched from beside the modules and compared with their sha256. {runtime.title} needs its own files",
        "on the same server; nothing is taken from elsewhere:",
        "",
        *(f"- `{file}` (`node_modules/{path}`){_when(runtime, file)}" for file, path in runtime.files.items()),
        "",
        "`load({ runtimeUrl })` names the folder they are in. More than one thread needs a page that is cross-origin isolated (headers",
        "`Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`); elsewhere `model.threads` says that it is one.",
        "A content security policy must allow `script-src 'self' 'wasm-unsafe-eval'` and `connect-src 'self'`; see `demo/index.html`.",
        "",
        "## Demo",
        "",
        "    npm install && npm run demo      # serves this folder on this machine only, with the runtime's files out of node_modules",
        "",
        "On a server of your own: copy the files above to `demo/runtime/` and serve this folder; open `demo/`.",
        "",
    ]
    return "\n".join(lines)


def _five_lines(source: PackageSource, names: dict[tuple[str, str], str]) -> list[str]:
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


def _preprocessing(source: PackageSource) -> list[str]:
    if source.preprocess is not None:
        return [
            "`runPicture` prepares the picture in exactly the arithmetic that the model was calibrated with; it also takes an `ImageData`, or",
            "`{ data, width, height }` with RGB or RGBA bytes.",
        ]
    return [
        "This model was not calibrated with pictures, so this package has no preprocessing: the caller makes the input tensors. It has no",
        "tokenizer either; where the inputs are token ids, they must come from the one that the model was trained with.",
    ]


def _raw_bits(source: PackageSource) -> list[str]:
    dtypes = {tensor.original.dtype for tensor in source.artifact.io}
    lines = []
    if "float16" in dtypes:
        lines.append("float16 tensors are their raw 16 bits in a `Uint16Array`.")
    if "bool" in dtypes:
        lines.append("bool tensors are bytes of 0 or 1.")
    return lines


def _when(runtime: WebRuntime, file: str) -> str:
    if file in runtime.threaded:
        return ": with more than one thread"
    return ": where the browser has no relaxed SIMD" if "compat" in file else ""
