"""What cannot be handed to a runtime from Swift. It is refused before anything is written."""

from __future__ import annotations

from ...types import Reject
from ..source import PackageSource
from .runtimes import RUNTIMES

#: What callers may have: float16 and bool have no type that every platform here knows.
DTYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def reject(source: PackageSource) -> Reject | None:
    """Why iOS cannot run this artifact, and the target to build instead; None if it can."""
    what = f"{source.winner.id} cannot be packaged for iOS"
    runtime = RUNTIMES.get(source.kind)
    if runtime is None:
        return Reject(
            what,
            f"its file is {source.kind or 'of no kind'}; the runtimes there load {' and '.join(sorted(RUNTIMES))}",
            "edgekit deploy or build with --target onnx or --target tflite",
        )
    if source.kind == ".tflite" and len(source.artifact.files) > 1:
        return Reject(what, "LiteRT loads one file", "edgekit deploy with --target onnx")
    other = "tflite" if source.kind == ".onnx" else "onnx"
    for tensor in source.artifact.io:
        if tensor.artifact.dtype not in runtime.dtypes:
            return Reject(
                what,
                f"{tensor.artifact.name[:80]!r} is {tensor.artifact.dtype}; {runtime.title} takes {', '.join(runtime.dtypes)}",
                f"edgekit deploy with --target {other}, or a model with other inputs and outputs",
            )
        if tensor.original.dtype not in DTYPES:
            return Reject(
                what,
                f"{tensor.original.name[:80]!r} is {tensor.original.dtype}; the wrapper has {', '.join(DTYPES)}",
                "a model whose inputs and outputs are float32 or integers",
            )
        if source.kind == ".tflite" and None in source.shape(tensor):
            return Reject(what, f"{tensor.original.name[:80]!r} has a free size, which LiteRT's file fixes", "--shape fixes it")
    return None
