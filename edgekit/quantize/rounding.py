"""Adding quantized-and-dequantized forms of tensors to a float graph ("fake quantization", Jacob et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..types import Array
from .types import Placement, Quantizable, Range

if TYPE_CHECKING:
    import onnx


class RoundingWriter:
    """A copy of a model to which nodes are added; every rounded form is made once, for all its readers.

    ``nodes`` collects the nodes of the new graph in order.
    """

    def __init__(self, model: onnx.ModelProto, placement: Placement, ranges: Mapping[str, Range]) -> None:
        import onnx

        from .graphs import FreshNames, float_initializers

        self.onnx = onnx
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.placement = placement
        self.ranges = ranges
        self.fresh = FreshNames(self.model.graph)
        self.constants = float_initializers(self.model.graph)
        self.nodes: list[onnx.NodeProto] = []
        self._activations: dict[tuple[str, bool], str] = {}
        self._weights: dict[tuple[str, int | None], str] = {}

    def rounded_inputs(self, item: Quantizable, node: onnx.NodeProto) -> dict[int, str]:
        """The rounded form of each input of ``node`` that is quantized, by position."""
        operator = item.operator
        found = {}
        for index, name in enumerate(node.input):
            if name in operator.activations:
                found[index] = self.rounded_activation(name, dynamic=item.dynamic)
            elif name == operator.weight:
                found[index] = self._rounded_weight(name, operator.weight_axis)
        return found

    def rounded_activation(self, name: str, *, dynamic: bool = False) -> str:
        if (name, dynamic) not in self._activations:
            self._activations[name, dynamic] = self._dynamic(name) if dynamic else self.round_to(name, self.ranges[name])
        return self._activations[name, dynamic]

    def round_to(self, name: str, span: Range) -> str:
        """``name`` rounded to the grid of the placement's type over ``span``; what lies outside saturates."""
        from .affine import affine_of

        found = affine_of(span, self.placement.activation_type, symmetric=self.placement.activation_symmetric)
        scale = self.constant(f"{name}_scale", np.asarray(found.scale, np.float32))
        zero_point = self.constant(f"{name}_zero_point", np.asarray(found.zero_point, found.dtype))
        stored = self.emit("QuantizeLinear", [name, scale, zero_point], self.fresh(f"{name}_stored"))
        return self.emit("DequantizeLinear", [stored, scale, zero_point], self.fresh(f"{name}_rounded"))

    def _dynamic(self, name: str) -> str:
        stored, scale, zero_point = (self.fresh(f"{name}_{part}") for part in ("stored", "scale", "zero_point"))
        self.nodes.append(self.onnx.helper.make_node("DynamicQuantizeLinear", [name], [stored, scale, zero_point], name=stored))
        return self.emit("DequantizeLinear", [stored, scale, zero_point], self.fresh(f"{name}_rounded"))

    def _rounded_weight(self, name: str, axis: int | None) -> str:
        from .weights import symmetric_int8

        if (name, axis) not in self._weights:
            exact = np.asarray(self.onnx.numpy_helper.to_array(self.constants[name]), np.float32)
            quantized = symmetric_int8(exact, axis, bits=self.placement.weight_bits)
            scale = quantized.scale
            if axis is not None:
                scale = scale.reshape([-1 if index == axis % exact.ndim else 1 for index in range(exact.ndim)])
            self._weights[name, axis] = self.constant(f"{name}_rounded", quantized.stored.astype(np.float32) * scale)
        return self._weights[name, axis]

    def constant(self, wanted: str, value: Array) -> str:
        name = self.fresh(wanted)
        self.model.graph.initializer.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def emit(self, operator: str, inputs: list[str], output: str) -> str:
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], name=output))
        return output

    def finish(self) -> onnx.ModelProto:
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.nodes)
        return self.model
