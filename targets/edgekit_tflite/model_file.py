"""A ``.tflite`` that a user gives: what is in it. Nothing of it is run, and its bytes are never changed."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from edgekit.errors import ModelError
from edgekit.targets import FileFacts
from edgekit.types import TensorSpec

from . import graph as tflite_graph

#: The only version of the format since 2017.
VERSION = 3
_NO_PARAMETERS = ("int32", "int64", "bool")  # shapes, axes, biases of integers
_IDENTIFIER = b"TFL3"
_LARGEST_BYTES = (1 << 31) - 1  # a flatbuffer's offsets end there
_BITS = {
    "float64": 64, "int64": 64, "uint64": 64, "float16": 16, "int16": 16, "uint16": 16, "int8": 8, "uint8": 8, "bool": 8,
    "INT4": 4, "INT2": 2,
}  # fmt: skip


def read_file(path: Path) -> FileFacts:
    """See :class:`edgekit.targets.Reading`."""
    _check(path)
    graph = tflite_graph.read(path)
    if not graph.operators or not graph.inputs or not graph.outputs:
        raise ModelError(f"{path.name} computes nothing", why="it has no operators, inputs or outputs")
    if graph.n_graphs > 1:
        _refuse_branches(graph, path)
    weights = {tensor.buffer: tensor for tensor in graph.tensors.values() if tensor.is_constant}.values()
    weight_bytes: Counter[str] = Counter()
    for tensor in weights:
        weight_bytes[tensor.dtype.lower()] += math.ceil(math.prod(tensor.shape) * _BITS.get(tensor.dtype, 32) / 8)
    return FileFacts(
        inputs=_specs(graph.inputs, "input", path),
        outputs=_specs(graph.outputs, "output", path),
        version=VERSION,
        quantized=_quantized_by(graph),
        operators=Counter(operator.kind for operator in graph.operators),
        parameters=sum(math.prod(tensor.shape) for tensor in weights if tensor.shape and tensor.dtype not in _NO_PARAMETERS),
        weight_bytes=weight_bytes,
    )


def _quantized_by(graph: tflite_graph.Graph) -> str | None:
    """Weights that are stored as small integers, or activations that are computed in them. float16 weights are only smaller."""
    if any(tensor.scale is not None and not tensor.is_constant for tensor in graph.tensors.values()):
        return "integer tensors"
    stored = (t for t in graph.tensors.values() if t.is_constant and len(t.shape) > 1)
    return "integer weights" if any(tensor.dtype in ("int8", "uint8", "INT4", "INT2") for tensor in stored) else None


def _check(path: Path) -> None:
    """What it takes to say plainly that a file is none, before it is parsed."""
    size_bytes = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise ModelError(
            f"{path.name} is a Git LFS pointer, not the model", why="the file itself was not fetched", hint="run `git lfs pull`"
        )
    if head[4:8] != _IDENTIFIER:
        raise ModelError(f"{path.name} is not a TFLite model", why=f"it does not say {_IDENTIFIER.decode()} where one would")
    if size_bytes > _LARGEST_BYTES:
        raise ModelError(f"{path.name} is over 2 GiB", why="files with weights beyond that are not supported")


def _refuse_branches(graph: tflite_graph.Graph, path: Path) -> None:
    branches = sorted({operator.kind for operator in graph.operators} & {"IF", "WHILE", "CALL", "CALL_ONCE"})
    if branches:
        raise ModelError(
            f"{path.name} has branches", why=f"{', '.join(branches)} run one of several graphs", hint="give one without"
        )


def _specs(tensors: dict[str, tflite_graph.Tensor], role: str, path: Path) -> tuple[TensorSpec, ...]:
    for name, tensor in tensors.items():
        if tensor.dtype not in tflite_graph.DTYPES.values():
            raise ModelError(
                f"{role} {name!r} of {path.name} has element type {tensor.dtype.lower()}", why="numpy has no such type"
            )
    return tuple(TensorSpec(name, tensor.dtype, tensor.shape) for name, tensor in tensors.items())
