"""The constant weights of a graph: which tensor feeds which operator, through whatever stands between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from ..frontends.graph import node_id, subgraphs
from ..frontends.tensors import declared_bytes, type_name
from ..types import NodeId

Role = Literal["filter", "linear", "recurrent", "table"]
Values = npt.NDArray[Any]

MIN_ELEMENTS = 64  # a smaller tensor says nothing about how a model was compressed
SHOWN = 5  # examples in the evidence of a finding

# operator -> {input position of a weight: position of its zero point, or None}, and the role of that weight
_WEIGHT_INPUTS: dict[str, tuple[Role, dict[int, int | None]]] = {
    "Conv": ("filter", {1: None}),
    "ConvTranspose": ("filter", {1: None}),
    "ConvInteger": ("filter", {1: 3}),
    "QLinearConv": ("filter", {3: 5}),
    "Gemm": ("linear", {1: None}),
    "MatMul": ("linear", {1: None}),
    "MatMulInteger": ("linear", {1: 3}),
    "QLinearMatMul": ("linear", {3: 5}),
    "LSTM": ("recurrent", {1: None, 2: None}),
    "GRU": ("recurrent", {1: None, 2: None}),
    "RNN": ("recurrent", {1: None, 2: None}),
    "Gather": ("table", {0: None}),
}
# what may stand between a stored weight and its operator without changing which weight it is
_PASS_THROUGH = frozenset({"Identity", "Cast", "DequantizeLinear", "Transpose", "Mul", "Sub"})
_DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})


@dataclass
class Scope:
    """One graph (the main one or the body of an ``If``, ``Loop`` or ``Scan``) with the names it can see."""

    graph: onnx.GraphProto
    constants: dict[str, onnx.TensorProto]
    producers: dict[str, onnx.NodeProto]
    consumers: dict[str, list[onnx.NodeProto]] = field(default_factory=dict)


@dataclass(frozen=True)
class Weight:
    """One stored tensor that is a weight.

    ``rows`` has two dimensions: one row for an output unit (filter, neuron, gate unit, table entry) and the inputs along it;
    ``grouped`` is the same as [outputs, kernel positions, input channels]. Both hold the stored values less the zero point, so that
    zero means zero. ``users`` are the operators that consume the tensor.
    """

    name: str
    role: Role
    operator: str
    users: tuple[NodeId, ...]
    rows: Values
    grouped: Values
    stored: str
    integer: bool
    stored_bytes: int

    @property
    def node(self) -> NodeId:
        return self.users[0]


def scopes(graph: onnx.GraphProto, outer: Scope | None = None) -> Iterator[Scope]:
    """The graph and every graph inside it, outer first."""
    scope = Scope(graph, dict(outer.constants) if outer else {}, dict(outer.producers) if outer else {})
    for tensor in graph.initializer:
        scope.constants[tensor.name] = tensor
    for node in graph.node:
        for output in node.output:
            scope.producers[output] = node
        value = constant_value(node)
        if value is not None:
            scope.constants[node.output[0]] = value
        for name in node.input:
            scope.consumers.setdefault(name, []).append(node)
    yield scope
    for body in subgraphs(graph.node):
        yield from scopes(body, scope)


def constant_value(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The tensor of a ``Constant`` node; None for another node and for scalars given as plain attributes."""
    if node.op_type != "Constant":
        return None
    return next((a.t for a in node.attribute if a.name == "value" and a.type == onnx.AttributeProto.TENSOR), None)


def find_weights(proto: onnx.ModelProto) -> tuple[Weight, ...]:
    """Every tensor of two or more dimensions that a convolution, matrix product, recurrent layer or ``Gather`` takes as its weight.

    A tensor with several users appears once, seen the way its first user sees it.
    """
    found: dict[int, tuple[onnx.TensorProto, Weight]] = {}  # the tensor is held so that its id stays its own
    for scope in scopes(proto.graph):
        for node in scope.graph.node:
            if node.domain not in _DEFAULT_DOMAINS or node.op_type not in _WEIGHT_INPUTS:
                continue
            role, positions = _WEIGHT_INPUTS[node.op_type]
            for position, zero_position in positions.items():
                traced = _trace(_input(node, position), scope)
                if traced is None:
                    continue
                tensor, through = traced
                if id(tensor) not in found:
                    zero_name = _input(node, zero_position) if zero_position is not None else ""
                    weight = _view(tensor, through, node, role, zero_name, scope)
                    if weight is not None:
                        found[id(tensor)] = (tensor, weight)
                    continue
                weight = found[id(tensor)][1]
                if node_id(node) not in weight.users:
                    found[id(tensor)] = (tensor, replace(weight, users=(*weight.users, node_id(node))))
    return tuple(weight for _, weight in found.values())


def _input(node: onnx.NodeProto, position: int) -> str:
    """The name at an input position, "" where the node has none there."""
    return node.input[position] if position < len(node.input) else ""


def _trace(name: str, scope: Scope) -> tuple[onnx.TensorProto, list[onnx.NodeProto]] | None:
    """The stored tensor behind ``name`` and the nodes between, from the tensor on; None when it is computed from an input."""
    through: list[onnx.NodeProto] = []
    while name not in scope.constants:
        node = scope.producers.get(name)
        if node is None or node.op_type not in _PASS_THROUGH or node.domain not in _DEFAULT_DOMAINS:
            return None
        if node.op_type in {"Mul", "Sub"} and not _scales_a_cast(node, scope):
            return None
        through.append(node)
        name = node.input[0]
    return scope.constants[name], through[::-1]


def _scales_a_cast(node: onnx.NodeProto, scope: Scope) -> bool:
    """True for the ``Mul`` or ``Sub`` of a weight that is dequantized by hand: int8 -> Cast (-> Sub) -> Mul by a constant scale."""
    if node.input[1] not in scope.constants:
        return False
    before = scope.producers.get(node.input[0])
    return before is not None and before.op_type in {"Cast", "Sub"} and _trace(before.input[0], scope) is not None


def _view(
    tensor: onnx.TensorProto, through: list[onnx.NodeProto], node: onnx.NodeProto, role: Role, zero_name: str, scope: Scope
) -> Weight | None:
    if len(tensor.dims) < 2 or 0 in tensor.dims:
        return None
    values = numpy_helper.to_array(tensor)
    integer = is_integer(tensor.data_type)
    if not integer and tensor.data_type not in _FLOATS:
        return None
    zero_names = [zero_name] + [n.input[2] for n in through if n.op_type == "DequantizeLinear" and len(n.input) > 2]
    zero_names += [n.input[1] for n in through if n.op_type == "Sub"]
    if integer:
        values = _less_zero_point(values, [scope.constants[name] for name in zero_names if name in scope.constants])
    for step in through:
        if step.op_type == "Transpose":
            values = values.transpose(_attribute(step, "perm", tuple(range(values.ndim))[::-1]))
    grouped = _outputs_first(values, node, role)
    if grouped is None:
        return None
    return Weight(
        name=tensor.name or node_id(node),
        role=role,
        operator=node.op_type,
        users=(node_id(node),),
        rows=grouped.reshape(len(grouped), -1),
        grouped=grouped,
        stored=type_name(tensor.data_type).lower(),
        integer=integer,
        stored_bytes=declared_bytes(tensor),
    )


def _less_zero_point(values: Values, zero_points: list[onnx.TensorProto]) -> Values:
    """Stored integers less their zero point where it is one number; the usual weights are symmetric and have 0."""
    values = values.astype(np.int16)
    for tensor in zero_points:
        zero = numpy_helper.to_array(tensor).astype(np.int16)
        if zero.size and np.all(zero == zero.flat[0]):
            values = values - zero.flat[0]
    return values


def _outputs_first(values: Values, node: onnx.NodeProto, role: Role) -> Values | None:
    """[outputs, kernel positions, inputs] of a weight as its operator reads it."""
    if role == "filter":
        if values.ndim < 3:
            return None
        if node.op_type == "ConvTranspose":
            values = values.swapaxes(0, 1)
        return values.reshape(values.shape[0], values.shape[1], -1).swapaxes(1, 2)
    if role == "linear":
        if not (node.op_type == "Gemm" and _attribute(node, "transB", 0)):
            values = values.swapaxes(-1, -2)
        return values.reshape(-1, 1, values.shape[-1])
    if role == "table" and (values.ndim != 2 or _attribute(node, "axis", 0) != 0):
        return None
    return values.reshape(-1, 1, values.shape[-1])


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


_FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16})
_INTEGERS = frozenset({onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT4, onnx.TensorProto.UINT4})


def is_integer(data_type: int) -> bool:
    """True for the types that quantized weights are stored in."""
    return data_type in _INTEGERS


def count_of(number: int, noun: str) -> str:
    """``"1 tensor"``, ``"2 tensors"``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def largest(weights: Sequence[Weight]) -> list[Weight]:
    """The few to show as examples."""
    return sorted(weights, key=lambda w: (-w.rows.size, w.name))[:SHOWN]
