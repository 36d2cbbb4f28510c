"""Multiply-accumulates of the operators that do nearly all the arithmetic, from shapes that are known before running."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx
from onnx import shape_inference

from ..frontends.graph import weights_as_inputs

Shapes = Mapping[str, tuple[int, ...]]  # fully known shapes only

_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}  # operator -> input position of the weight
_MATRIX_PRODUCTS = {"MatMul": 0, "MatMulInteger": 0, "QLinearMatMul": 0}  # operator -> input position of the left factor
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
COUNTED = frozenset({*_CONVOLUTIONS, *_MATRIX_PRODUCTS, *_RECURRENT, "ConvTranspose", "Gemm"})
# in the names of operators that cannot be left out of a sum
_ARITHMETIC = ("MatMul", "Conv", "Gemm", "Attention", "LSTM", "GRU", "Einsum")


def is_counted(node: onnx.NodeProto) -> bool:
    return node.domain in {"", "ai.onnx"} and node.op_type in COUNTED


def is_uncounted_arithmetic(node: onnx.NodeProto) -> bool:
    """True for an operator with much arithmetic whose count is not known here, so that a sum would be wrong without it."""
    return not is_counted(node) and any(name in node.op_type for name in _ARITHMETIC)


def has_free_axes(value: onnx.ValueInfoProto) -> bool:
    """True when an axis other than the batch has no fixed size."""
    return any(dim.dim_value <= 0 for dim in value.type.tensor_type.shape.dim[1:])


def known_shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the main graph's tensors at batch 1: a free first axis of an input counts as 1, other free axes stay unknown."""
    light, _ = weights_as_inputs(proto)
    graph = light.graph
    stored = {tensor.name for tensor in proto.graph.initializer}
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in stored and len(dims) >= 2 and dims[0].dim_value <= 0:
            dims[0].dim_value = 1
    del graph.value_info[:]  # written for the free batch, and sometimes wrong
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = shape_inference.infer_shapes(light, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    for value in [*inferred.input, *inferred.value_info, *inferred.output]:
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in kind.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return shapes


def macs_of(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    """Multiply-accumulates of one counted operator; None when a shape it depends on is not known."""
    if node.op_type in _CONVOLUTIONS:
        output, weight = _get(shapes, node.output, 0), _get(shapes, node.input, _CONVOLUTIONS[node.op_type])
        return math.prod(output) * math.prod(weight[1:]) if output and weight else None
    if node.op_type == "ConvTranspose":
        given, weight = _get(shapes, node.input, 0), _get(shapes, node.input, 1)
        return math.prod(given) * math.prod(weight[1:]) if given and weight else None
    if node.op_type == "Gemm":
        output, left = _get(shapes, node.output, 0), _get(shapes, node.input, 0)
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return math.prod(output) * left[0 if transposed else -1] if output and left else None
    if node.op_type in _MATRIX_PRODUCTS:
        left = _get(shapes, node.input, _MATRIX_PRODUCTS[node.op_type])
        name = node.output[0]
        return math.prod(shapes[name]) * left[-1] if left and name in shapes else None
    return _recurrent(node, shapes)


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    """X is [steps, batch, inputs] (layout 0); W is [directions, gates * hidden, inputs], R the same with hidden."""
    x, w, r = (_get(shapes, node.input, position) for position in (0, 1, 2))
    if not (x and w and r):
        return None
    return x[0] * x[1] * (math.prod(w) + math.prod(r))


def _get(shapes: Shapes, names: list[str], position: int) -> tuple[int, ...] | None:
    return shapes.get(names[position]) if position < len(names) else None
