"""What the JavaScript wrappers cannot hand to a runtime. It is refused before anything is written."""

from __future__ import annotations

from collections.abc import Collection

from ...types import Reject
from ..source import PackageSource

MAX_MODEL_BYTES = 2 << 30  # what one ArrayBuffer holds in every browser and in Hermes


def reject(source: PackageSource, *, what: str, kinds: Collection[str], tflite_dtypes: Collection[str]) -> Reject | None:
    """Why ``what`` cannot run this artifact; None if it can.

    Args:
        source: the bundle.
        what: the platform, as it stands in a sentence.
        kinds: suffixes of files that its runtimes load.
        tflite_dtypes: the types of tensors that its LiteRT takes and gives.
    """
    if source.kind not in kinds:
        return Reject(
            f"{source.winner.id} does not run {what}",
            f"its file is {source.kind or 'of no kind'}; the runtimes there load {' and '.join(sorted(kinds))}",
            "edgekit deploy or build with --target onnx or --target tflite",
        )
    if source.model_bytes > MAX_MODEL_BYTES:
        return Reject(
            f"{source.winner.id} does not run {what}",
            f"it has {source.model_bytes} bytes, over {MAX_MODEL_BYTES}",
            "a smaller scheme, such as --precision int8 or w4",
        )
    if source.kind == ".tflite" and len(source.artifact.files) > 1:
        return Reject(f"{source.winner.id} does not run {what}", "LiteRT loads one file", "edgekit deploy with --target onnx")
    for tensor in source.artifact.io:
        stored, original = tensor.artifact.dtype, tensor.original.dtype
        if source.kind == ".tflite" and stored not in tflite_dtypes:
            return Reject(
                f"{source.winner.id} does not run {what}",
                f"{tensor.artifact.name[:80]!r} is {stored}; LiteRT there takes {', '.join(tflite_dtypes)}",
                "edgekit deploy with --target onnx",
            )
        if "float16" in (stored, original) and (stored != original or tensor.scale is not None):
            return Reject(
                f"{source.winner.id} does not run {what}",
                f"{tensor.original.name[:80]!r} would have to be converted between {original} and {stored}",
                "a model whose inputs and outputs are float32",
            )
    return None
