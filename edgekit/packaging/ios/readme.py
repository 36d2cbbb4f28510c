"""The README of a package for iOS: five lines of code, what was measured, and what nobody has compiled yet."""

from __future__ import annotations

from ..names import comment
from ..readme import measured_lines, tensor_lines
from ..source import PackageSource
from .runtimes import IosRuntime, class_name, module_name
from .wrapper import ELEMENTS, tensor_names


def readme(source: PackageSource, runtime: IosRuntime, minimum: str) -> str:
    """In Markdown. ``minimum``: the oldest version of the runtime."""
    names = tensor_names(source)
    lines = [
        f"# {module_name(source)} {source.version}",
        "",
        *_install(source, runtime, minimum),
        "",
        "```swift",
        *_five_lines(source, names),
        "```",
        "",
        *_preprocessing(source),
        "",
        "## What was measured",
        "",
        *measured_lines(source),
        "",
        f"These are numbers of the device named, not of an iPhone. The wrapper runs {runtime.title} on the CPU with "
        f"{source.threads} thread{'s' * (source.threads != 1)}, as it was measured; {_measured_with(source)}",
        f"`try {class_name(source)}().selfTest()` runs the stored synthetic feed and compares with what the model made of it",
        "when it was built.",
        "",
        "## Tensors",
        "",
        *tensor_lines(source, {f"{role} {name}": identifier for (role, name), identifier in names.items()}),
        "",
        "A `Tensor` has `values` in C order and a `shape`. Use an instance from one thread at a time.",
        "",
        "## Not verified",
        "",
        "edgekit's tests parse these Swift sources, and execute their preprocessing and quantization with an interpreter of a",
        "subset of the language. No Swift compiler has seen them; they have run neither in a simulator nor on a phone. First run",
        f"the self-test{', and the twenty golden vectors of the preprocessing' if source.preprocess else ''}.",
        "",
    ]
    return "\n".join(lines)


def _install(source: PackageSource, runtime: IosRuntime, minimum: str) -> list[str]:
    module = module_name(source)
    if source.kind == ".onnx":
        return [
            "Put this folder beside the app and add it in Xcode (File, Add Package Dependencies, Add Local) or in `Package.swift`:",
            f'`.package(path: "../{comment(source.name)}")` with the product `{module}`. It brings {runtime.title} {minimum}',
            "or newer and asks for iOS 15.1. Tests on a Mac: `swift test`.",
        ]
    return [
        f"In the `Podfile`: `pod '{module}', :path => '../{comment(source.name)}', :testspecs => ['Tests']`. It brings",
        f"{runtime.title} {minimum} or newer and asks for iOS {runtime.platforms}.",
    ]


def _five_lines(source: PackageSource, names: dict[tuple[str, str], str]) -> list[str]:
    output = names["output", source.outputs[0].original.name]
    if source.preprocess is not None:
        call = ["let outputs = try model.run(Picture(image))  // a CGImage"]
    else:
        arguments = []
        for tensor in source.inputs:
            shape = ", ".join("n" if size is None else str(size) for size in source.shape(tensor))
            identifier = names["input", tensor.original.name]
            arguments.append(f"{identifier}: Tensor([{ELEMENTS[tensor.original.dtype]}](...), shape: [{shape}])")
        call = [f"let outputs = try model.run(.init({', '.join(arguments)}))"]
    return [
        f"import {module_name(source)}",
        "",
        f"let model = try {class_name(source)}()",
        *call,
        f"print(outputs.{output}.shape, outputs.{output}.values)",
    ]


def _preprocessing(source: PackageSource) -> list[str]:
    if source.preprocess is not None:
        return [
            "`run(_: Picture)` prepares the picture in the arithmetic that the model was calibrated with. Decoding is Apple's: a",
            "level of a JPEG may differ by one from the decoder used then. `Picture(rgb:width:height:)` takes pixels of your own.",
        ]
    return [
        "This model was not calibrated with pictures, so this package has no preprocessing: the caller makes the input tensors. It",
        "has no tokenizer either; where the inputs are token ids, they must come from the one that the model was trained with.",
    ]


def _measured_with(source: PackageSource) -> str:
    version = (source.effective or {}).get("version")
    return f"the version that was measured is {comment(str(version))}." if version else "it was not measured."
