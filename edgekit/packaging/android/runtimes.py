"""The runtimes that Android has, by the suffix of the file that they load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..names import quoted
from ..source import PackageSource

#: numpy's name: Java's type, the method that reads one, and what the runtime stores.
JAVA_TYPES = {
    "float32": ("float[]", "floats", "FLOAT32"),
    "float64": ("double[]", "doubles", "FLOAT64"),
    "int8": ("byte[]", "bytes", "INT8"),
    "uint8": ("byte[]", "bytes", "UINT8"),
    "int16": ("short[]", "shorts", "INT16"),
    "int32": ("int[]", "ints", "INT32"),
    "int64": ("long[]", "longs", "INT64"),
    "bool": ("boolean[]", "booleans", "BOOL"),
}
_LEVELS = {"none": "NO_OPT", "basic": "BASIC_OPT", "extended": "EXTENDED_OPT", "all": "ALL_OPT"}


@dataclass(frozen=True)
class Runtime:
    """A runtime that an app gets from a Maven repository.

    Attributes:
        title: as people call it.
        coordinates: group and artifact.
        package: what reports its version in a measurement: the ``runtime`` of ``effective``.
        least_version: the oldest that has what the wrapper calls, and the one to depend on where nothing newer was measured.
        sources: the folder of its ``Engine.java``.
        imports: what the generated class needs beside its own.
        dtypes: what its tensors may be.
        fixed_shapes: its models have no axis whose size is free.
    """

    title: str
    coordinates: str
    package: str
    least_version: tuple[int, int, int]
    sources: str
    imports: tuple[str, ...]
    dtypes: frozenset[str]
    fixed_shapes: bool


RUNTIMES: Mapping[str, Runtime] = {
    ".onnx": Runtime(
        title="ONNX Runtime",
        coordinates="com.microsoft.onnxruntime:onnxruntime-android",
        package="onnxruntime",
        least_version=(1, 22, 0),  # a session from mapped memory; libraries for pages of 16 KB
        sources="onnx",
        imports=("ai.onnxruntime.OrtSession",),
        dtypes=frozenset(JAVA_TYPES),
        fixed_shapes=False,
    ),
    ".tflite": Runtime(
        title="LiteRT",
        coordinates="com.google.ai.edge.litert:litert",
        package="ai-edge-litert",
        least_version=(2, 1, 5),  # the last with the Interpreter that its release table names
        sources="litert",
        imports=(),
        dtypes=frozenset(JAVA_TYPES) - {"float64"},
        fixed_shapes=True,
    ),
}


def default_version(runtime: Runtime, source: PackageSource) -> str:
    """The release that was measured, if the wrapper can use it; without its patch, which may be of one platform only."""
    effective = source.effective or {}
    parts = str(effective.get("version", "")).split(".")
    measured = runtime.least_version
    if effective.get("runtime") == runtime.package and len(parts) >= 2 and parts[0].isdecimal() and parts[1].isdecimal():
        measured = (int(parts[0][:4]), int(parts[1][:4]), 0)
    return ".".join(map(str, max(measured, runtime.least_version)))


def engine_options(runtime: Runtime, source: PackageSource) -> str:
    """What the constructor of ``Engine`` gets beside the model and the threads: the options that the winner was measured with."""
    options = source.options
    if runtime.sources == "litert":
        return "true" if options.get("xnnpack", True) else "false"
    level = _LEVELS.get(str(options.get("graph_optimization", "all")), "ALL_OPT")
    configuration = []
    if options.get("allow_spinning") is False:
        configuration += ["session.intra_op.allow_spinning", "0"]
    if options.get("fold_weights"):
        configuration += ["session.disable_quant_qdq", "1"]
    return ", ".join([f"OrtSession.SessionOptions.OptLevel.{level}", *map(quoted, configuration)])
