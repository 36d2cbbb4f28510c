"""The tensor contract as a module: constants for JavaScript, and types in which every tensor has its name and its kind of array."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from ...types import JSON, TensorMap
from ..golden import pack_golden
from ..manifest import manifest_of
from ..names import TYPESCRIPT, camel, comment, identifiers
from ..source import PackageSource

#: What a caller hands over and gets for each dtype. Not everywhere is there an array of half precision: those are the raw bits.
ARRAYS = {
    "float16": "Uint16Array",
    "float32": "Float32Array",
    "float64": "Float64Array",
    "bool": "Uint8Array",
    "int8": "Int8Array",
    "int16": "Int16Array",
    "int32": "Int32Array",
    "int64": "BigInt64Array",
    "uint8": "Uint8Array",
    "uint16": "Uint16Array",
    "uint32": "Uint32Array",
    "uint64": "BigUint64Array",
}
_GRAPH_OPTIMIZATIONS = ("none", "basic", "extended", "all")


def keys(source: PackageSource) -> dict[tuple[str, str], str]:
    """{(role, original name): the property it is in JavaScript}; inputs and outputs are objects of their own."""
    found: dict[tuple[str, str], str] = {}
    for role, tensors in (("input", source.inputs), ("output", source.outputs)):
        names = identifiers((tensor.original.name for tensor in tensors), TYPESCRIPT, camel)
        found.update({(role, name): key for name, key in names.items()})
    return found


def integrity(sha256: str) -> str:
    """A hash in hexadecimal digits as ``fetch`` and HTML want it (W3C Subresource Integrity)."""
    return "sha256-" + base64.b64encode(bytes.fromhex(sha256)).decode()


def contract_json(source: PackageSource) -> dict[str, JSON]:
    """``Contract`` of ``src/types.ts``; where the files are is each package's own."""
    names = keys(source)
    return {
        "name": source.name,
        "version": source.version,
        "candidate": source.winner.id,
        "inputs": [_tensor(source, tensor, names["input", tensor.original.name]) for tensor in source.inputs],
        "outputs": [_tensor(source, tensor, names["output", tensor.original.name]) for tensor in source.outputs],
        "preprocess": source.preprocess.to_json() if source.preprocess else None,
        "labels": list(source.labels) or None,
        "runtime": _runtime(source.threads, source.options),
        "tolerance": source.golden.tolerance,
        "example": _example(source, names),
        "measured": _measured(source),
    }


def _tensor(source: PackageSource, tensor: TensorMap, key: str) -> dict[str, JSON]:
    return {
        "key": key,
        "name": tensor.original.name,
        "dtype": tensor.original.dtype,
        "shape": list(source.shape(tensor)),
        "artifactName": tensor.artifact.name,
        "artifactDtype": tensor.artifact.dtype,
        "artifactShape": [size if isinstance(size, int) else None for size in tensor.artifact.shape],
        "permutation": None if tensor.permutation is None else list(tensor.permutation),
        "scale": tensor.scale,
        "zeroPoint": tensor.zero_point or 0,
    }


def _runtime(threads: int, options: Mapping[str, JSON]) -> dict[str, JSON]:
    level = options.get("graph_optimization", "all")
    return {
        "threads": threads,
        "graphOptimization": level if level in _GRAPH_OPTIMIZATIONS else "all",
        "foldWeights": options.get("fold_weights") is True,
    }


def _measured(source: PackageSource) -> dict[str, JSON]:
    found = manifest_of(source, "").measured
    latency, agreement = found["latency_s"], found["agreement"]
    return {
        "device": found["device"],
        "latency_s": None if latency is None else latency["p50"],
        "agreement": None if agreement is None else agreement["value"],
        "metric": found["metric"],
        "model_bytes": source.model_bytes,
    }


def _example(source: PackageSource, names: Mapping[tuple[str, str], str]) -> dict[str, JSON]:
    """Where each array of the golden pair lies in its file."""
    _, entries = pack_golden(source)
    arrays: dict[str, JSON] = {"inputs": [], "outputs": []}
    for entry in entries:
        array = {"dtype": entry.dtype, "dims": list(entry.shape), "offset": entry.offset_bytes}
        arrays[f"{entry.role}s"].append({"key": names[entry.role, entry.name], **array})
    return arrays


def typed(source: PackageSource) -> str:
    """The interfaces ``Inputs`` and ``Outputs``, and ``LoadedModel``: a model that takes pictures where that was recorded."""
    names = keys(source)
    model = "PictureModel" if source.preprocess else "Model"
    return "\n".join(
        [
            *_interface(source, "Inputs", source.inputs, names),
            "",
            *_interface(source, "Outputs", source.outputs, names),
            "",
            f"export type LoadedModel = {model}<Inputs, Outputs>;",
            "",
        ]
    )


def _interface(source: PackageSource, name: str, tensors: Sequence[TensorMap], names: Mapping[tuple[str, str], str]) -> list[str]:
    lines = [f"export interface {name} {{"]
    for tensor in tensors:
        shape, array = source.shape(tensor), ARRAYS[tensor.original.dtype]
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        lines.append(f"  /** {comment(tensor.original.name)}: {tensor.original.dtype} [{sizes}] */")
        kind = f"Tensor<{array}>"
        if name == "Inputs" and None not in shape:
            kind += f" | {array}"
        lines.append(f"  readonly {names[tensor.role, tensor.original.name]}: {kind};")
    return [*lines, "}"]


def literal(value: JSON) -> str:
    """``value`` as an expression of JavaScript: JSON in ASCII, which no text of a model can end or hide in."""
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
