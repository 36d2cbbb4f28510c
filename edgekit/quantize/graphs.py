"""What quantizers share about an ONNX graph: which nodes have weights worth quantizing, fresh names, and tidying up afterwards.

Only nodes of the main graph are considered: bodies of ``If`` and ``Loop`` keep their floats.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping

import onnx
from onnx import helper

from ..errors import ModelError
from ..frontends.graph import node_id, subgraphs

__all__ = [
    "WEIGHT_INPUTS", "FreshNames", "attribute", "channels", "consumed_names", "drop_unused", "float_initializers", "has_attribute",
    "is_depthwise", "is_one_a_channel", "is_standard", "node_id", "nodes_with_weights", "require_domain", "require_known", "select",
]  # fmt: skip

#: Operators whose constant weights can be stored in int8, and the positions of those weights among the inputs.
WEIGHT_INPUTS: dict[str, tuple[int, ...]] = {"Conv": (1,), "MatMul": (1,), "Gemm": (1,), "LSTM": (1, 2)}


def is_standard(node: onnx.NodeProto) -> bool:
    """An operator of ONNX itself, none of a vendor's."""
    return node.domain in ("", "ai.onnx")


def has_attribute(node: onnx.NodeProto, name: str) -> bool:
    return any(attribute.name == name for attribute in node.attribute)


def attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    """A numeric attribute of ``node``, or ``default`` where it is not set."""
    for found in node.attribute:
        if found.name == name:
            return float(found.f) if found.type == found.FLOAT else float(found.i)
    return default


def float_initializers(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The float32 initializers of the main graph by name."""
    return {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}


def nodes_with_weights(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes of the main graph whose weights are constant float32, in graph order.

    A product of two activations (attention scores) is not one of them.
    """
    constants = float_initializers(graph)
    found = []
    for node in graph.node:
        positions = WEIGHT_INPUTS.get(node.op_type) if is_standard(node) else None
        if positions and all(position < len(node.input) and node.input[position] in constants for position in positions):
            found.append(node)
    return found


def is_depthwise(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """A convolution whose filters see one channel each: in int8 both slower than float in ONNX Runtime and the most damaging."""
    return node.op_type == "Conv" and attribute(node, "group", 1) > 1 and constants[node.input[1]].dims[1] == 1


def channels(node: onnx.NodeProto, weight: onnx.TensorProto) -> tuple[int, int]:
    """How many channels go into a convolution and come out of it; for a product with a matrix K and N."""
    first, second = int(weight.dims[0]), int(weight.dims[1])
    if node.op_type == "Conv":
        return second * int(attribute(node, "group", 1)), first
    if node.op_type == "ConvTranspose":
        return first, second * int(attribute(node, "group", 1))
    return (second, first) if attribute(node, "transB", 0) else (first, second)


def is_one_a_channel(bias: onnx.TensorProto, channels: int) -> bool:
    """Whether ``bias`` holds one number a channel, or one for all; a matrix, or one a row, has no integer form."""
    size = math.prod(bias.dims)
    return size in (1, channels) and (len(bias.dims) < 2 or bias.dims[-1] == size)


def require_known(graph: onnx.GraphProto, keep_float: Collection[str]) -> None:
    """Nothing of ``keep_float`` is ignored silently.

    Raises:
        ModelError: ``keep_float`` names something that is not the first output of a node.
    """
    unknown = sorted(set(keep_float) - {node_id(node) for node in graph.node})
    if unknown:
        raise ModelError(
            f"keep_float names nodes that the model does not have: {', '.join(unknown[:5])}",
            why="a node is named by its first output in the normalised ONNX",
            hint="take the names from `edgekit inspect`",
        )


def select(graph: onnx.GraphProto, operators: Collection[str], keep_float: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes to quantize: of the given operator types, with constant weights, and not asked to stay in float.

    Raises:
        ModelError: ``keep_float`` names something that is not the first output of a node.
    """
    require_known(graph, keep_float)
    return [node for node in nodes_with_weights(graph) if node.op_type in operators and node_id(node) not in keep_float]


def consumed_names(graph: onnx.GraphProto) -> Counter[str]:
    """How often each tensor is read: by nodes, by bodies that capture it, and as an output of the graph."""
    counts: Counter[str] = Counter(output.name for output in graph.output)
    for node in graph.node:
        counts.update(name for name in node.input if name)
        for body in subgraphs([node]):
            counts.update(consumed_names(body))
    return counts


class FreshNames:
    """Names for new tensors that clash with none that the model has, its bodies' included."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._taken: set[str] = set()
        self._collect(graph)

    def _collect(self, graph: onnx.GraphProto) -> None:
        for values in (graph.input, graph.output, graph.initializer, graph.value_info):
            self._taken.update(value.name for value in values)
        for node in graph.node:
            self._taken.update((node.name, *node.input, *node.output))
            for body in subgraphs([node]):
                self._collect(body)

    def __call__(self, wanted: str) -> str:
        name, n = wanted, 1
        while name in self._taken:
            n += 1
            name = f"{wanted}_{n}"
        self._taken.add(name)
        return name


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove initializers that nothing reads any more, and type hints of tensors that are gone."""
    used = consumed_names(graph)
    kept = [tensor for tensor in graph.initializer if used[tensor.name]]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    produced = {name for node in graph.node for name in node.output}
    hints = [value for value in graph.value_info if value.name in produced]
    del graph.value_info[:]
    graph.value_info.extend(hints)


def require_domain(model: onnx.ModelProto, domain: str, version: int) -> None:
    """Declare an operator domain that new nodes use."""
    if all(opset.domain != domain for opset in model.opset_import):
        model.opset_import.append(helper.make_operatorsetid(domain, version))
