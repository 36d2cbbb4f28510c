"""The README of an Android package."""

from __future__ import annotations

from ...report.text import size
from ..names import comment
from ..readme import measured_lines, tensor_lines
from ..source import PackageSource
from ..templates import render
from .runtimes import Runtime
from .wrapper import Wrapper, asset_folder

_COMPRESSED = {
    ".tflite": "The Android Gradle plugin has stored `.tflite` uncompressed since 4.1 without being told.",
    ".onnx": "The Android Gradle plugin compresses `.onnx` unless the app's `build.gradle` says "
    "`android { androidResources { noCompress += 'onnx' } }`.",
    ".ort": "The Android Gradle plugin compresses `.ort` unless the app's `build.gradle` says "
    "`android { androidResources { noCompress += 'ort' } }`.",
}


def write_readme(source: PackageSource, runtime: Runtime, wrapper: Wrapper, dependency: str, suffix: str, *, with_aar: bool) -> str:
    """Five lines to start with, then the contract and the numbers."""
    has_label = bool(source.labels) and "topLabel" in next(iter(wrapper.sources.values()))
    arguments = ["bitmap"] if source.preprocess else wrapper.parameters
    first = wrapper.names[f"output {source.outputs[0].original.name}"]
    threads = f"{source.threads} thread{'s' * (source.threads != 1)}"
    return render(
        "edgekit.packaging.android",
        "templates/README.md",
        name=source.name,
        version=source.version,
        intro=f"A model with a typed wrapper: {comment(source.winner.id)}, of an edgekit bundle.",
        how_to_add=_how_to_add(source, with_aar=with_aar),
        package=wrapper.package,
        call=f"model.run({', '.join(arguments)})",
        result="String label = model.topLabel(outputs);" if has_label else f"use(outputs.{first});",
        tensors="\n".join(tensor_lines(source, wrapper.names)),
        preprocess=_preprocess(source),
        runtime=runtime.title,
        dependency=dependency,
        threads=threads,
        measured="\n".join(measured_lines(source)),
        assets=asset_folder(source),
        compression=_COMPRESSED[suffix],
        model_size=size(source.model_bytes),
        **{"class": wrapper.class_name},
    )


def _how_to_add(source: PackageSource, *, with_aar: bool) -> str:
    if not with_aar:
        return f"Copy `module/` into your project as `{source.name}/` and follow the first lines of its `build.gradle`. Then:"
    return f"""```groovy
maven {{ url "path/to/maven" }} // settings.gradle, in dependencyResolutionManagement.repositories
implementation "{source.group}:{source.name}:{source.version}" // the app's build.gradle, in dependencies
```

(or copy `module/` into the project: the same as sources.) Then:"""


def _preprocess(source: PackageSource) -> str:
    if source.preprocess is None:
        return (
            "The model was calibrated with arrays; edgekit knows of no preprocessing, so the wrapper takes the model's own numbers."
        )
    return (
        "`run(bitmap)` makes a picture fit with the recorded preprocessing: to the bit the arithmetic of the calibration and "
        "the evaluation. A `Bitmap` does not know its EXIF orientation; `run(argb, width, height, exifOrientation)` takes it."
    )
