"""Writes Q/DQ into a graph: the plan of :mod:`placement`, the ranges of calibration, the weights' own scales.

- One Q/DQ pair a tensor. What an integer kernel puts out is rounded for everybody who reads it; any other tensor is rounded for the
  operators that are quantized alone, and float operators go on reading the exact one.
- An absorbed activation function disappears where saturation does its work, and stays in front of the pair where it does not.
- A weight is stored once for each axis and scale that is needed; its float form stays only where something float reads it.
- Graph inputs and outputs keep their names and dtypes. Each node of the float model is named by its NodeId, which is how a
  runtime's own profile is brought back to the operators of the normalised ONNX.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from . import graphs
from .affine import affine_of
from .float_guard import guarded_tensors, is_move
from .placement import bounds
from .types import Placement, QuantizedOperator, Range
from .weights import QuantizedWeight, as_uint8, symmetric_int8

if TYPE_CHECKING:
    import onnx

    from ..types import Array
    from .affine import AffineParameters
    from .weights import Floats

#: An integer bias may be this large: the products that are added to it need the other half of int32.
_LARGEST_BIAS = 2.0**30
_SMALLEST_SCALE, _LARGEST_SCALE = float(np.finfo(np.float32).tiny), 1e30


def emit_qdq(
    model: onnx.ModelProto, operators: Sequence[QuantizedOperator], placement: Placement, ranges: Mapping[str, Range]
) -> Counter[str]:
    """Quantize ``operators`` of ``model`` (opset 13 or later) in place and count them by type.

    Args:
        operators: what :func:`edgekit.quantize.placement.plan_placement` found in this very graph, or some of it.
        ranges: of every activation that they read or put out, by its name in the float model.

    Raises:
        ModelError: a range is missing.
    """
    return _Emitter(model, operators, placement, shared_ranges(model.graph, operators, ranges)).run()


def shared_ranges(graph: onnx.GraphProto, operators: Sequence[QuantizedOperator], ranges: Mapping[str, Range]) -> dict[str, Range]:
    """``ranges``, in which tensors that are moved copies of a rounded one (reshaped, pooled) have the range of that one.

    They need no steps of their own: rounding them to others would add a second error.
    """
    found = dict(ranges)
    rounded = {operator.output for operator in operators}
    for node in graph.node:
        if is_move(node) and node.input[0] in rounded and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
            rounded.add(node.output[0])
    return found


class _Emitter:
    def __init__(
        self,
        model: onnx.ModelProto,
        operators: Sequence[QuantizedOperator],
        placement: Placement,
        ranges: Mapping[str, Range],
    ) -> None:
        self.graph = model.graph
        self.placement = placement
        self.ranges = ranges
        self.operators = {operator.node: operator for operator in operators}
        #: What stands directly in front of an absorbed activation function: the operator, or the addition of its bias.
        self.in_front = {operator.bias_add or operator.node: operator.absorbed for operator in operators if operator.absorbed}
        self.added: dict[str, tuple[str, str]] = {}
        self.rounded = {operator.output for operator in operators if operator.output is not None}
        self.activations = {name for operator in operators for name in operator.activations}
        self.fresh = graphs.FreshNames(model.graph)
        self.constants = graphs.float_initializers(model.graph)
        self.guards = guarded_tensors(model.graph, operators) if placement.guard_floats else {}
        self.affines: dict[str, AffineParameters] = {}
        self.parameters: dict[tuple[float, int, str], tuple[str, str]] = {}
        self.dequantized: dict[str, str] = {}
        self.weights: dict[tuple[object, ...], tuple[str, QuantizedWeight]] = {}
        self.biases: dict[tuple[object, ...], str] = {}
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> Counter[str]:
        for value in self.graph.input:
            self.spare(value.name)
        absorbed = set(self.in_front.values())
        replaced = {name for node in self.graph.node if (name := graphs.node_id(node)) in absorbed and self.saturates(node)}
        for node in list(self.graph.node):
            name = graphs.node_id(node)
            node.name = name
            if name in replaced:
                continue
            operator = self.operators.get(name)
            if operator is not None:
                self.rewrite(node, operator)
            elif name in self.added:
                exact, dequantized = self.added[name]
                node.input[:] = [dequantized if tensor == exact else tensor for tensor in node.input]
            self.nodes.append(node)
            if self.in_front.get(name) in replaced:
                self.round(name, self.in_front[name])
            for index, tensor in enumerate(node.output):
                if tensor in self.rounded:
                    node.output[index] = self.fresh(f"{tensor}_float")
                    self.round(node.output[index], tensor)
                self.spare(tensor)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        graphs.drop_unused(self.graph)
        return Counter(operator.operator for operator in self.operators.values())

    # ------------------------------------------------------------ operators
    def rewrite(self, node: onnx.NodeProto, operator: QuantizedOperator) -> None:
        if operator.weight is not None:
            self.rewrite_weights(node, operator)
        for index, name in enumerate(node.input):
            if name in operator.activations:
                node.input[index] = self.dequantized.get(name, name)

    def rewrite_weights(self, node: onnx.NodeProto, operator: QuantizedOperator) -> None:
        """The factor of a ``Gemm`` goes into its weight, so that the bias has the scale of the products."""
        assert operator.weight is not None, "the caller has looked"
        factor = graphs.attribute(node, "alpha", 1.0) if operator.operator == "Gemm" else 1.0
        if factor != 1.0:
            kept = [found for found in node.attribute if found.name != "alpha"]
            del node.attribute[:]
            node.attribute.extend(kept)
        step = float(self.affine(operator.activations[0]).scale)
        bias = None if operator.bias is None else self.array(operator.bias).reshape(-1)
        floor = None if bias is None else np.minimum(np.abs(bias.astype(np.float64)) / (step * _LARGEST_BIAS), _LARGEST_SCALE)
        node.input[1], quantized = self.weight(operator.weight, operator.weight_axis, factor, floor)
        if operator.bias is not None and bias is not None:
            channels = graphs.channels(node, self.constants[operator.weight])[1]
            scale = np.maximum(step * quantized.scale.astype(np.float64), _SMALLEST_SCALE)
            dequantized = self.bias(operator.bias, np.broadcast_to(bias, channels), scale)
            if operator.bias_add is None:
                node.input[2] = dequantized
            else:
                self.added[operator.bias_add] = (operator.bias, dequantized)

    def weight(
        self, name: str, axis: int | None, factor: float, floor: np.typing.NDArray[np.float64] | None
    ) -> tuple[str, QuantizedWeight]:
        """The name of the dequantized weight, and what is stored. ``floor``: the least scale a channel that its bias allows."""
        exact = self.array(name) * np.float32(factor)
        if floor is not None and axis is None:
            floor = np.asarray(np.max(floor, initial=0.0))
        quantized = symmetric_int8(exact, axis, bits=self.placement.weight_bits, least_scale=0.0 if floor is None else floor)
        if self.placement.weight_type == "uint8":
            quantized = as_uint8(quantized)
        key = (name, axis, factor, quantized.scale.tobytes())
        if key not in self.weights:
            steps = [
                self.constant(f"{name}_scale", quantized.scale),
                self.constant(f"{name}_zero_point", quantized.zero_point),
            ]
            if self.placement.weight_storage == "float":
                stored = self.fresh(f"{name}_quantized")
                source = name if factor == 1.0 else self.constant(f"{name}_scaled", exact)
                self.node("QuantizeLinear", [source, *steps], stored, **({} if axis is None else {"axis": axis}))
            else:
                stored = self.constant(f"{name}_quantized", quantized.stored)
            self.weights[key] = (self.dequantize([stored, *steps], self.fresh(f"{name}_dequantized"), axis), quantized)
        return self.weights[key]

    def bias(self, name: str, values: Floats, scale: np.typing.NDArray[np.float64]) -> str:
        """int32 with the scale of the products, so that an integer kernel adds it to their sum."""
        key = (name, values.shape, scale.tobytes())
        if key not in self.biases:
            stored = np.clip(np.rint(values / scale), -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.int32)
            inputs = [
                self.constant(f"{name}_quantized", stored),
                self.constant(f"{name}_scale", scale.astype(np.float32)),
                self.constant(f"{name}_zero_point", np.zeros(scale.shape, np.int32)),
            ]
            self.biases[key] = self.dequantize(inputs, self.fresh(f"{name}_dequantized"), 0 if scale.ndim else None)
        return self.biases[key]

    # ------------------------------------------------------------ activations
    def spare(self, tensor: str) -> None:
        """A pair for the quantized readers of a tensor that is not rounded for everybody."""
        if tensor in self.activations - self.rounded:
            self.dequantized[tensor] = self.fresh(f"{tensor}_dequantized")
            self.pair(tensor, tensor, self.dequantized[tensor])

    def round(self, source: str, tensor: str) -> None:
        """A pair between what a kernel puts out and all who read it. Where :mod:`float_guard` says so, float operators read the
        same steps by a scale a channel, quantized ones by a single scale.
        """
        guard = self.guards.get(tensor)
        if guard is None:
            self.pair(source, tensor, tensor)
            return
        found = self.affine(tensor)
        stored = self.quantize(source, tensor)
        if tensor in self.activations:
            self.dequantized[tensor] = self.fresh(f"{tensor}_dequantized")
            self.node("DequantizeLinear", [stored, *self.steps(tensor)], self.dequantized[tensor])
        inputs = [
            stored,
            self.constant(f"{tensor}_scales", np.full(guard.channels, found.scale, np.float32)),
            self.constant(f"{tensor}_zero_points", np.full(guard.channels, found.zero_point, found.dtype)),
        ]
        self.dequantize(inputs, tensor, guard.axis)

    def pair(self, source: str, tensor: str, result: str) -> None:
        """``result`` is ``source`` in the steps of ``tensor``."""
        self.node("DequantizeLinear", [self.quantize(source, tensor), *self.steps(tensor)], result)

    def quantize(self, source: str, tensor: str) -> str:
        stored = self.fresh(f"{tensor}_quantized")
        self.node("QuantizeLinear", [source, *self.steps(tensor)], stored)
        return stored

    def steps(self, tensor: str) -> tuple[str, str]:
        """Scale and zero point as initializers; tensors with equal ones share them."""
        found = self.affine(tensor)
        key = (float(found.scale), int(found.zero_point), str(np.dtype(found.dtype)))
        if key not in self.parameters:
            self.parameters[key] = (
                self.constant(f"{tensor}_scale", np.asarray(found.scale, np.float32)),
                self.constant(f"{tensor}_zero_point", np.asarray(found.zero_point, found.dtype)),
            )
        return self.parameters[key]

    def affine(self, tensor: str) -> AffineParameters:
        if tensor not in self.affines:
            if tensor not in self.ranges:
                raise ModelError(
                    f"the activation {tensor!r} has no range",
                    why="it was not seen during calibration",
                    hint="give calibration data on which every part of the model runs",
                )
            span, placement = self.ranges[tensor], self.placement
            self.affines[tensor] = affine_of(span, placement.activation_type, symmetric=placement.activation_symmetric)
        return self.affines[tensor]

    def saturates(self, activation: onnx.NodeProto) -> bool:
        """Whether the stored type cuts where ``activation`` does, to half a step: then nothing is left for it to do."""
        found = self.affine(graphs.node_id(activation))
        low, high = bounds(activation, self.constants)
        ends = np.iinfo(found.dtype)
        step, zero = float(found.scale), int(found.zero_point)
        return (ends.min - zero) * step >= low - 0.501 * step and (ends.max - zero) * step <= high + 0.501 * step

    # ------------------------------------------------------------ pieces
    def array(self, name: str) -> Floats:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self.constants[name]), np.float32)

    def constant(self, wanted: str, value: Array) -> str:
        from onnx import numpy_helper

        name = self.fresh(wanted)
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name

    def dequantize(self, inputs: list[str], output: str, axis: int | None) -> str:
        self.node("DequantizeLinear", inputs, output, **({} if axis is None else {"axis": axis}))
        return output

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        name = self.fresh(f"{output}_{operator}")
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
