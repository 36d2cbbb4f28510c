"""What is in the graph: operators, parameters, bytes, arithmetic."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from ..frontends.graph import all_nodes, all_tensors, node_id, without_weights
from ..frontends.tensors import content, declared_bytes, type_name
from .macs import has_free_axes, is_counted, is_uncounted_arithmetic, known_shapes, macs_of
from .types import Content, Layer
from .weights import Weight

_ZIP_LEVEL = 6
_ZIP_CHUNK_BYTES = 1 << 17  # well over deflate's window of 32 KiB, so that a chunk packs as it would in its place
_ZIP_BUDGET_BYTES = 16 << 20  # about a second of packing
_PARAMETER_TYPES = frozenset({"float", "float16", "bfloat16", "double", "int8", "uint8", "int4", "uint4"})
_DTYPE_NAMES = {"float": "float32", "double": "float64"}


def describe(clean: onnx.ModelProto, raw: onnx.ModelProto, weights: Sequence[Weight]) -> Content:
    """The content of a model.

    Args:
        clean: the graph that is built from; operators, parameters and arithmetic are its.
        raw: the graph as it was given, for the size of the download.
        weights: of ``clean`` or ``raw``, for the number of weights of each layer.
    """
    nodes = list(all_nodes(clean))
    operators = Counter(_operator(node) for node in nodes if node.op_type != "Constant")
    weight_bytes: Counter[str] = Counter()
    parameters = 0
    for _, tensor in all_tensors(clean):
        dtype = type_name(tensor.data_type).lower()
        weight_bytes[_DTYPE_NAMES.get(dtype, dtype)] += declared_bytes(tensor)
        if tensor.dims and dtype in _PARAMETER_TYPES:
            parameters += math.prod(tensor.dims)
    layers = _layers(clean, nodes, weights)
    macs, macs_reason = _total(layers, clean)
    zip_bytes, zip_sampled = zipped_size(raw)
    return Content(
        operators=dict(sorted(operators.items(), key=lambda item: (-item[1], item[0]))),
        n_nodes=sum(operators.values()),
        parameters=parameters,
        weight_bytes=dict(sorted(weight_bytes.items(), key=lambda item: (-item[1], item[0]))),
        macs=macs,
        macs_reason=macs_reason,
        zip_bytes=zip_bytes,
        zip_sampled=zip_sampled,
        layers=layers,
    )


def _operator(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in {"", "ai.onnx"} else node.op_type


def _layers(clean: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], weights: Sequence[Weight]) -> tuple[Layer, ...]:
    shapes = known_shapes(clean)
    outer = {node_id(node) for node in clean.graph.node}
    elements: Counter[str] = Counter()
    for weight in weights:
        for user in weight.users:
            elements[user] += weight.rows.size
    return tuple(
        Layer(
            node=node_id(node),
            operator=_operator(node),
            macs=macs_of(node, shapes) if is_counted(node) and node_id(node) in outer else None,
            weights=elements[node_id(node)],
        )
        for node in nodes
        if is_counted(node) or is_uncounted_arithmetic(node)
    )


def _total(layers: Sequence[Layer], clean: onnx.ModelProto) -> tuple[int | None, str]:
    unknown = [layer for layer in layers if layer.macs is None]
    if not unknown:
        return sum(layer.macs or 0 for layer in layers), ""
    uncounted = {node_id(node): _operator(node) for node in all_nodes(clean) if is_uncounted_arithmetic(node)}
    if unknown[0].node in uncounted:
        return None, f"the arithmetic of {unknown[0].operator} ({unknown[0].node}) is not counted"
    why = f"the shapes of {len(unknown)} of {len(layers)} operators are not known before running"
    stored = {tensor.name for tensor in clean.graph.initializer}
    free = [value.name for value in clean.graph.input if value.name not in stored and has_free_axes(value)]
    if free:
        return None, f"{why}: inputs with free axes are {', '.join(free)}; give their sizes with --shape"
    return None, f"{why}: they are computed from data, or lie in a branch or loop ({unknown[0].node} is the first)"


def zipped_size(proto: onnx.ModelProto) -> tuple[int, float]:
    """(bytes after deflate, fraction of the bytes that was deflated): evenly spaced chunks stand for a model over 16 MiB."""
    skeleton, taken = without_weights(proto, over_bytes=_ZIP_CHUNK_BYTES)
    graph_bytes = len(zlib.compress(skeleton.SerializeToString(), _ZIP_LEVEL))
    total = sum(declared_bytes(tensor) for tensor in taken)
    every = math.ceil(total / _ZIP_BUDGET_BYTES) or 1
    packer, packed, read = zlib.compressobj(_ZIP_LEVEL), 0, 0
    for index, chunk in enumerate(_chunks(taken)):
        if index % every == 0:
            packed += len(packer.compress(chunk))
            read += len(chunk)
    packed += len(packer.flush())
    if not read:
        return graph_bytes, 1.0
    return graph_bytes + round(packed * total / read), round(read / total, 4)


def zipped_file(path: Path) -> tuple[int, float]:
    """As :func:`zipped_size` for a model that is one file."""
    total = path.stat().st_size
    every = math.ceil(total / _ZIP_BUDGET_BYTES) or 1
    packer, packed, read = zlib.compressobj(_ZIP_LEVEL), 0, 0
    with path.open("rb") as stream:
        for index, chunk in enumerate(iter(lambda: stream.read(_ZIP_CHUNK_BYTES), b"")):
            if index % every == 0:
                packed += len(packer.compress(chunk))
                read += len(chunk)
    packed += len(packer.flush())
    return round(packed * total / read) if read else packed, round(read / total, 4) if read else 1.0


def _chunks(tensors: Sequence[onnx.TensorProto]) -> Iterator[memoryview]:
    for tensor in tensors:
        data = memoryview(content(tensor))
        for start in range(0, len(data), _ZIP_CHUNK_BYTES):
            yield data[start : start + _ZIP_CHUNK_BYTES]
