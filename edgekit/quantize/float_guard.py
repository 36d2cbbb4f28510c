"""Float operators that a runtime would quantize on its own, and how they are kept in float.

ONNX Runtime (1.20 and later, pass ``WeightBiasQuantization``) takes a float ``Conv``, ``ConvTranspose`` or ``Gemm`` that stands
between a ``DequantizeLinear`` and a ``QuantizeLinear`` and stores its weights in int8, one scale a tensor, full 8 bits also where
those saturate. What was to stay float, because it is the most sensitive, would be quantized most coarsely. The pass asks for a
single scale at the ``DequantizeLinear``: float operators are given the same steps by one (equal) scale a channel instead, which
computes the same and is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import graphs
from .types import QuantizedOperator

if TYPE_CHECKING:
    import onnx

#: Operators that only move values. Runtimes push Q/DQ through them.
_MOVES = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "Identity", "DepthToSpace", "SpaceToDepth"}
)
_TAKEN_BY_THE_RUNTIME = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True)
class Guard:
    """The axis along which a tensor has ``channels`` entries, whatever the shape of the input."""

    axis: int
    channels: int


def is_move(node: onnx.NodeProto) -> bool:
    """A node that puts out the values of its first input in another order, or some of them."""
    return node.op_type in _MOVES and graphs.is_standard(node)


def guarded_tensors(graph: onnx.GraphProto, operators: Sequence[QuantizedOperator]) -> dict[str, Guard]:
    """The rounded tensors that reach a float operator of the kind that a runtime takes, by name."""
    quantized = {operator.node for operator in operators}
    constants = graphs.float_initializers(graph)
    source: dict[str, str] = {operator.output: operator.output for operator in operators if operator.output is not None}
    reached = set()
    for node in graph.node:
        if not node.input or node.input[0] not in source:
            continue
        if is_move(node):
            source.setdefault(node.output[0], source[node.input[0]])
        elif node.op_type in _TAKEN_BY_THE_RUNTIME and graphs.node_id(node) not in quantized and node.input[1] in constants:
            reached.add(source[node.input[0]])
    if not reached:
        return {}
    by_output = {operator.output: operator for operator in operators if operator.output is not None}
    nodes = {graphs.node_id(node): node for node in graph.node}
    guards = {name: _guard(by_output[name], by_output, nodes, constants) for name in reached}
    return {name: guard for name, guard in guards.items() if guard is not None and guard.channels > 1}


def _guard(
    operator: QuantizedOperator,
    by_output: dict[str, QuantizedOperator],
    nodes: dict[str, onnx.NodeProto],
    constants: dict[str, onnx.TensorProto],
) -> Guard | None:
    if operator.weight is None:  # a residual addition has the channels of the operators that it adds up
        makers = [by_output[name] for name in operator.activations if name in by_output and by_output[name].weight is not None]
        return _guard(makers[0], by_output, nodes, constants) if makers else None
    channels = graphs.channels(nodes[operator.node], constants[operator.weight])[1]
    return Guard(-1 if operator.operator == "MatMul" else 1, channels)
