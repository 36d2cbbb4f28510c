"""What the recipes share about graphs."""

from __future__ import annotations

import onnx
from edgekit_onnx.graph import sort_nodes
from onnx import TensorProto, helper


def _graph(order: list[int]) -> onnx.GraphProto:
    value = helper.make_tensor_value_info
    body = helper.make_graph([helper.make_node("Add", ["b", "b"], ["inner"])], "body", [], [value("inner", TensorProto.FLOAT, [1])])
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Neg", ["a"], ["b"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body),  # captures b
        helper.make_node("Abs", ["y"], ["z"]),
    ]
    inputs = [value("x", TensorProto.FLOAT, [1]), value("yes", TensorProto.BOOL, [])]
    return helper.make_graph([nodes[i] for i in order], "main", inputs, [value("z", TensorProto.FLOAT, [1])])


def test_what_a_body_captures_comes_before_its_node() -> None:
    graph = _graph([0, 2, 1, 3])
    sort_nodes(graph)
    assert [node.op_type for node in graph.node] == ["Relu", "Neg", "If", "Abs"]
    onnx.checker.check_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def test_a_sorted_graph_stays_as_it_is() -> None:
    graph = _graph([0, 1, 2, 3])
    before = graph.SerializeToString(deterministic=True)
    sort_nodes(graph)
    assert graph.SerializeToString(deterministic=True) == before
