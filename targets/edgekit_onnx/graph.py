"""What the recipes share about an ONNX graph: which nodes have weights worth quantizing, fresh names, and tidying up afterwards.

Only nodes of the main graph are considered: bodies of ``If`` and ``Loop`` keep their floats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter

import onnx
from onnx import helper

from edgekit.errors import ModelError
from edgekit.frontends.graph import node_id, subgraphs

__all__ = [
    "WEIGHT_INPUTS", "FreshNames", "attribute", "consumed_names", "drop_unused", "float_initializers", "has_attribute",
    "is_depthwise", "name_nodes", "node_id", "nodes_with_weights", "require_domain", "select", "sort_nodes",
]  # fmt: skip

#: Operators whose constant weights can be stored in int8, and the positions of those weights among the inputs.
WEIGHT_INPUTS: dict[str, tuple[int, ...]] = {"Conv": (1,), "MatMul": (1,), "Gemm": (1,), "LSTM": (1, 2)}


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
        positions = WEIGHT_INPUTS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if positions and all(position < len(node.input) and node.input[position] in constants for position in positions):
            found.append(node)
    return found


def is_depthwise(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """A convolution whose filters see one channel each: in int8 both slower than float in ONNX Runtime and the most damaging."""
    return node.op_type == "Conv" and attribute(node, "group", 1) > 1 and constants[node.input[1]].dims[1] == 1


def select(graph: onnx.GraphProto, operators: Collection[str], keep_float: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes to quantize: of the given operator types, with constant weights, and not asked to stay in float.

    Raises:
        ModelError: ``keep_float`` names something that is not the first output of a node; nothing of it is ignored silently.
    """
    known = {node_id(node) for node in graph.node}
    unknown = sorted(set(keep_float) - known)
    if unknown:
        raise ModelError(
            f"keep_float names nodes that the model does not have: {', '.join(unknown[:5])}",
            why="a node is named by its first output in the normalised ONNX",
            hint="take the names from `edgekit inspect`",
        )
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


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node of the main graph a name of its own (tools that take lists of nodes take names)."""
    for index, node in enumerate(graph.node):
        node.name = f"node_{index}"


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Bring the nodes into topological order. (Quantizers forget what bodies of ``If`` and ``Loop`` capture.)"""
    made_by = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = []
    for node in graph.node:
        captured = [name for body in subgraphs([node]) for name in consumed_names(body)]
        needs.append({made_by[name] for name in (*node.input, *captured) if name in made_by})
    if all(max(need, default=-1) < index for index, need in enumerate(needs)):
        return
    order = TopologicalSorter({index: sorted(need) for index, need in enumerate(needs)}).static_order()
    nodes = [onnx.NodeProto.FromString(graph.node[index].SerializeToString()) for index in order]
    del graph.node[:]
    graph.node.extend(nodes)


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
