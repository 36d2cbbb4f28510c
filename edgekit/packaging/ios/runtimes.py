"""The two runtimes that packages for iOS build on, and what their Swift interfaces can do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import UsageError
from ..formats import PackageOptions
from ..names import pascal
from ..source import PackageSource

_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){2}")


@dataclass(frozen=True)
class IosRuntime:
    """One runtime.

    Attributes:
        title: for people. ``session``: the static source that drives it.
        minimum: the oldest version that a package asks for unless told otherwise; newer ones of the same major version are taken.
        dtypes: of stored tensors that its Swift interface has.
        platforms: what the package asks for, as the manifest of its manager writes it.
    """

    title: str
    session: str
    minimum: str
    dtypes: tuple[str, ...]
    platforms: str

    def place(self, source: PackageSource, path: str) -> str:
        """Where a file of the artifact stands below ``Model``. What lies beside a model is found by its own name."""
        return f"model{source.kind}" if len(source.artifact.files) == 1 else f"files/{path}"


#: dtypes: of ``ORTTensorElementDataType`` (objectivec/include/ort_enums.h) and of ``Tensor.DataType`` (tensorflow/lite/swift).
RUNTIMES = {
    ".onnx": IosRuntime(
        title="ONNX Runtime",
        session="OnnxSession.swift",
        minimum="1.24.2",
        dtypes=("float32", "int8", "int32", "int64", "uint8", "uint32", "uint64"),
        platforms='.iOS("15.1"), .macOS("13.4")',
    ),
    ".tflite": IosRuntime(
        title="LiteRT (TensorFlowLiteSwift)",
        session="LiteRTSession.swift",
        minimum="2.14.0",
        dtypes=("float32", "float64", "int16", "int32", "int64", "uint8"),
        platforms="12.0",
    ),
}


def module_name(source: PackageSource) -> str:
    """What an app imports. No module of Apple's ends so; the class in it is called :func:`class_name`."""
    return f"{pascal(source.name)}Package"


def class_name(source: PackageSource) -> str:
    return f"{pascal(source.name)}Model"


def minimum_version(options: PackageOptions, runtime: IosRuntime) -> str:
    """The oldest version of the runtime that the package takes.

    Raises:
        UsageError: what was named is no version.
    """
    version = options.runtime_version or runtime.minimum
    if not _VERSION.fullmatch(version):
        raise UsageError(f"--runtime-version {version[:40]!r} is no version", hint=f"three numbers, such as {runtime.minimum}")
    return version
