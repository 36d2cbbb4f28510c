"""Which operators of a graph are quantized, on which of their tensors: a :class:`Placement` (a table) applied to one graph.

Rules that hold for every table: only constant float32 weights are quantized; products need a matrix (kernels take one scale a
column only for it); ``Gemm`` with ``transA``, or with a ``beta`` that scales a bias, stays float; products of two activations,
Softmax, LayerNorm and element-wise operators stay float (a final Softmax in int8 alone costs 17 dB). A model that has Q/DQ keeps
its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ..types import NodeId
from . import graphs
from .placement_additions import Makers
from .types import Placement, QuantizedOperator

if TYPE_CHECKING:
    import onnx

CONVOLUTIONS = ("Conv", "ConvTranspose")
PRODUCTS = ("MatMul", "Gemm")
#: Quantizes as much as any table could: what it touches is what calibration looks at.
_EVERYTHING = Placement(
    "everything",
    {"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1},
    residual_add="both",
    keep_depthwise_float=False,
)


def plan_placement(graph: onnx.GraphProto, placement: Placement, *, keep_float: Collection[NodeId] = ()) -> list[QuantizedOperator]:
    """What ``placement`` quantizes in the main graph of the normalised ONNX, in graph order.

    Args:
        keep_float: nodes that stay float; an activation function among them is not absorbed.

    Raises:
        ModelError: ``keep_float`` names a node that is not there.
    """
    from ..frontends.quantized import has_qdq

    graphs.require_known(graph, keep_float)
    return [] if has_qdq(graph) else _Planner(graph, placement, keep_float).plan()


def calibrated_tensors(graph: onnx.GraphProto) -> list[str]:
    """The float32 activations whose range some placement could need, in graph order: one calibration pass serves all of them.

    These are what quantizable operators (depthwise ones too) and residual additions read, and put out: behind an activation
    function that may be absorbed, because a table that leaves it alone rounds nothing in between.
    """
    tensors: dict[str, None] = {}
    for operator in plan_placement(graph, _EVERYTHING):
        tensors.update(dict.fromkeys((*operator.activations, operator.output or operator.node)))
    return list(tensors)


def planned_tensors(operators: Sequence[QuantizedOperator]) -> list[str]:
    """The activations that the emission of ``operators`` needs ranges of."""
    return list(dict.fromkeys(name for one in operators for name in (*one.activations, one.output) if name is not None))


class _Planner:
    def __init__(self, graph: onnx.GraphProto, placement: Placement, keep_float: Collection[NodeId]) -> None:
        self.graph = graph
        self.placement = placement
        self.keep_float = keep_float
        self.constants = graphs.float_initializers(graph)
        self.stored = {tensor.name for tensor in graph.initializer}
        self.fixed = set(self.stored)  # and what is computed from stored tensors alone, such as a bias that is reshaped
        for node in graph.node:
            if node.op_type != "Constant" and node.input and self.fixed.issuperset(name for name in node.input if name):
                self.fixed.update(node.output)
        self.counts = graphs.consumed_names(graph)
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def plan(self) -> list[QuantizedOperator]:
        chosen = {graphs.node_id(node): node for node in self.graph.node if self.suits(node)}
        inputs: dict[NodeId, tuple[str, ...]] = {name: (node.input[0],) for name, node in chosen.items()}
        inputs |= self.additions(chosen)
        return [
            self.operator(node, inputs)
            for node in self.graph.node
            if graphs.node_id(node) in inputs
        ]  # fmt: skip

    # ------------------------------------------------------------ which operators
    def suits(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in self.placement.operators or not graphs.is_standard(node) or graphs.node_id(node) in self.keep_float:
            return False
        weight = self.constants.get(node.input[1])
        if weight is None or node.input[0] in self.stored:
            return False
        shape = tuple(weight.dims)
        bias = node.input[2] if len(node.input) > 2 else ""
        if node.op_type in PRODUCTS:
            if len(shape) != 2 or graphs.attribute(node, "transA", 0) or (bias and graphs.attribute(node, "beta", 1.0) != 1.0):
                return False
        elif graphs.is_depthwise(node, self.constants) and self.placement.keep_depthwise_float:
            return False
        if min(graphs.channels(node, weight)) < self.placement.least_channels:
            return False
        if not bias or self.placement.bias == "float" or self.placement is _EVERYTHING:
            return True
        return bias in self.constants and graphs.is_one_a_channel(self.constants[bias], graphs.channels(node, weight)[1])

    def additions(self, chosen: dict[NodeId, onnx.NodeProto]) -> dict[NodeId, tuple[str, ...]]:
        """The residual additions that are quantized, and which of their inputs."""
        policy = self.placement.residual_add
        found: dict[NodeId, tuple[str, ...]] = {}
        if policy == "float":
            return found
        by_maker = policy == "by maker"
        ending = [node for node in chosen.values() if not by_maker or node.op_type in CONVOLUTIONS]
        ends = {self.before_add(self.end(node)[0]) for node in ending}
        if policy != "both":  # what others read as well cannot become part of the addition
            ends = {end for end in ends if self.counts[end] == 1}
        makers = Makers(self.graph, self.placement, self.fixed, chosen) if by_maker else None
        for node in filter(self.adds_activations, self.graph.node):
            if any(name in ends for name in node.input):
                found[graphs.node_id(node)] = self.residual_inputs(node, ends)
            elif makers is not None and (rounded := makers.rounded(node)):
                found[graphs.node_id(node)] = rounded
        return found

    def adds_activations(self, node: onnx.NodeProto) -> bool:
        """An addition of two activations that may be quantized."""
        return (
            node.op_type == "Add"
            and graphs.is_standard(node)
            and graphs.node_id(node) not in self.keep_float
            and len(set(node.input)) == 2
            and not self.fixed & set(node.input)
        )

    # ------------------------------------------------------------ on which tensors
    def operator(self, node: onnx.NodeProto, inputs: dict[NodeId, tuple[str, ...]]) -> QuantizedOperator:
        name = graphs.node_id(node)
        end, absorbed = self.end(node)
        output: str | None = end
        if not self.rounds_output(node, end, inputs):
            output, absorbed = None, None
        if node.op_type == "Add":
            return QuantizedOperator(name, node.op_type, inputs[name], None, None, None, output, absorbed)
        bias = node.input[2] if len(node.input) > 2 and self.placement.bias == "int32" else ""
        bias_add, added = self.bias_behind(node)
        return QuantizedOperator(
            name,
            node.op_type,
            inputs[name],
            node.input[1],
            self.weight_axis(node),
            bias or added,
            output,
            absorbed,
            graphs.node_id(bias_add) if bias_add is not None else None,
        )

    def end(self, node: onnx.NodeProto) -> tuple[str, NodeId | None]:
        """Where the operator with its bias ends, and the activation function that it absorbs on the way."""
        bias_add, _ = self.bias_behind(node)
        return self.behind(graphs.node_id(node if bias_add is None else bias_add))

    def bias_behind(self, node: onnx.NodeProto) -> tuple[onnx.NodeProto | None, str | None]:
        """The ``Add`` that gives a ``MatMul`` its bias, and that bias.

        ONNX Runtime makes one ``Gemm`` of the two (pass ``MatMulAddFusion``), which has an integer kernel only with an integer
        bias: with a float one, weights were dequantized at every inference (sentence encoder: 57 ms, float 25).
        """
        readers = self.readers[graphs.node_id(node)]
        if node.op_type != "MatMul" or self.placement.bias != "int32" or self.counts[graphs.node_id(node)] != 1 or not readers:
            return None, None
        channels = int(self.constants[node.input[1]].dims[1])
        for name in readers[0].input if readers[0].op_type == "Add" and graphs.is_standard(readers[0]) else ():
            constant = self.constants.get(name)
            is_bias = constant is not None and list(constant.dims) in ([channels], [1, channels])
            if is_bias and graphs.node_id(readers[0]) not in self.keep_float:
                return readers[0], name
        return None, None

    def rounds_output(self, node: onnx.NodeProto, end: str, inputs: dict[NodeId, tuple[str, ...]]) -> bool:
        if not self.placement.quantize_outputs or (
            node.op_type == "Add" and self.placement.residual_add in ("shortcut", "by maker")
        ):
            return False
        if node.op_type not in self.placement.float_outputs:
            return True
        reads = sum(inputs.get(graphs.node_id(reader), ()).count(end) for reader in self.readers[end])
        return 0 < reads == self.counts[end]

    def weight_axis(self, node: onnx.NodeProto) -> int | None:
        axis = self.placement.operators[node.op_type]
        if not self.placement.per_channel or (node.op_type == "ConvTranspose" and graphs.attribute(node, "group", 1) > 1):
            return None  # a grouped ConvTranspose has one such axis a group
        return 1 - axis if node.op_type == "Gemm" and graphs.attribute(node, "transB", 0) else axis

    def behind(self, tensor: str) -> tuple[str, NodeId | None]:
        """The tensor behind an activation function that nothing else reads and that keeps zero, and that function; or itself."""
        if self.counts[tensor] == 1 and self.readers[tensor]:
            node = self.readers[tensor][0]
            name = graphs.node_id(node)
            if node.op_type in self.placement.absorbed and node.input[0] == tensor and name not in self.keep_float:
                low, high = bounds(node, self.constants)
                if low <= 0 <= high:
                    return name, name
        return tensor, None

    def residual_inputs(self, node: onnx.NodeProto, ends: Collection[str]) -> tuple[str, ...]:
        """The shortcut is the input that no quantized operator makes; of two branches that both end in one, the shorter."""
        if self.placement.residual_add == "both":
            return tuple(node.input)
        return (min(node.input, key=lambda name: (name in ends, self.depth(name))),)

    def before_add(self, end: str) -> str:
        """Where what fuses into a quantized operator in front of an addition ends."""
        while self.counts[end] == 1 and self.readers[end]:
            reader = self.readers[end][0]
            if reader.op_type not in self.placement.fused_before_add or reader.input[0] != end:
                break
            end = graphs.node_id(reader)
        return end

    def depth(self, tensor: str) -> int:
        """The longest way from an input, in nodes: a shortcut is the shorter of two ways."""
        if not hasattr(self, "_depths"):
            self._depths: dict[str, int] = {}
            for node in self.graph.node:
                deepest = 1 + max((self._depths.get(name, 0) for name in node.input), default=0)
                self._depths.update(dict.fromkeys(node.output, deepest))
        return self._depths.get(tensor, 0)


def bounds(activation: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> tuple[float, float]:
    """What a ``Relu`` or ``Clip`` (opset 11 or later) cuts to; (nan, nan), which contains nothing, where that is not constant."""
    from onnx import numpy_helper

    if activation.op_type == "Relu":
        return 0.0, math.inf
    found = [-math.inf, math.inf]
    for index, name in enumerate(activation.input[1:3]):
        if name and name not in constants:
            return math.nan, math.nan
        if name:
            found[index] = float(numpy_helper.to_array(constants[name]).item())
    return found[0], found[1]
