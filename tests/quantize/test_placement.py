from __future__ import annotations

from dataclasses import replace

import onnx
import pytest
from support.quantized_graphs import PLAIN, graph, node, normal

from edgekit.errors import ModelError
from edgekit.quantize.placement import calibrated_tensors, plan_placement, planned_tensors
from edgekit.quantize.types import Placement
from edgekit.testing.models import CASES


def residual() -> onnx.ModelProto:
    """Conv, Relu, depthwise, Relu, Conv, added to the input, Relu, Gemm."""
    return graph(
        [
            node("Conv", "x w1 b1", "c1"),
            node("Relu", "c1", "r1"),
            node("Conv", "r1 w2", "c2", group=8, pads=[1, 1, 1, 1]),
            node("Relu", "c2", "r2"),
            node("Conv", "r2 w3", "c3"),
            node("Add", "c3 x", "sum"),
            node("Relu", "sum", "r3"),
            node("GlobalAveragePool", "r3", "pooled"),
            node("Flatten", "pooled", "flat"),
            node("Gemm", "flat w4 b4", "y", transB=1),
        ],
        {"x": [1, 8, 6, 6]},
        ["y"],
        w1=normal(8, 8, 1, 1), b1=normal(8), w2=normal(8, 1, 3, 3), w3=normal(8, 8, 1, 1), w4=normal(4, 8), b4=normal(4),
    )  # fmt: skip


def by_node(model: onnx.ModelProto, placement: Placement, *keep: str):
    return {operator.node: operator for operator in plan_placement(model.graph, placement, keep_float=keep)}


def test_what_is_quantized_of_a_residual_block() -> None:
    found = by_node(residual(), PLAIN)
    assert list(found) == ["c1", "c3", "y"], "the depthwise convolution stays float"
    assert found["c1"].activations == ("x",)
    assert (found["c1"].weight, found["c1"].weight_axis, found["c1"].bias) == ("w1", 0, "b1")
    assert (found["c1"].output, found["c1"].absorbed) == ("r1", "r1")
    assert (found["c3"].output, found["c3"].absorbed, found["c3"].bias) == ("c3", None, None)
    assert (found["y"].weight_axis, found["y"].output) == (0, "y"), "the axis follows transB"


def test_the_table_decides() -> None:
    assert list(by_node(residual(), replace(PLAIN, keep_depthwise_float=False))) == ["c1", "c2", "c3", "y"]
    assert list(by_node(residual(), replace(PLAIN, operators={"Gemm": 1}))) == ["y"]
    assert list(by_node(residual(), replace(PLAIN, least_channels=8))) == ["c1", "c3"]
    assert {one.weight_axis for one in by_node(residual(), replace(PLAIN, per_channel=False)).values()} == {None}
    assert {one.bias for one in by_node(residual(), replace(PLAIN, bias="float")).values()} == {None}
    inputs_only = by_node(residual(), replace(PLAIN, quantize_outputs=False))
    assert {one.output for one in inputs_only.values()} == {None}
    assert {one.absorbed for one in inputs_only.values()} == {None}
    assert by_node(residual(), replace(PLAIN, absorbed=()))["c1"].output == "c1"
    assert by_node(residual(), replace(PLAIN, float_outputs=("Gemm",)))["y"].output is None


def test_residual_additions_by_table() -> None:
    both = by_node(residual(), replace(PLAIN, residual_add="both"))["sum"]
    assert (both.activations, both.weight, both.output, both.absorbed) == (("c3", "x"), None, "r3", "r3")
    shortcut = by_node(residual(), replace(PLAIN, residual_add="shortcut"))["sum"]
    assert (shortcut.activations, shortcut.output) == (("x",), None), "the shorter way to the addition"
    assert "sum" not in by_node(residual(), replace(PLAIN, residual_add="both"), "sum")


def test_float_outputs_are_rounded_only_where_all_readers_round_them() -> None:
    def chain(*outputs: str) -> onnx.ModelProto:
        nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r w", "y")]
        return graph(nodes, {"x": [2, 8]}, outputs, w=normal(8, 8))

    placement = replace(PLAIN, float_outputs=("MatMul",))
    assert by_node(chain("y"), placement)["h"].output == "r"
    assert by_node(chain("y", "r"), placement)["h"].output is None, "the graph hands it out"
    assert by_node(chain("y"), placement)["y"].output is None
    assert by_node(chain("y"), placement, "y")["h"].output is None


@pytest.mark.parametrize("bias_first", [False, True])
def test_the_addition_of_a_bias_belongs_to_its_product(bias_first: bool) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Add", "b h" if bias_first else "h b", "a"), node("Relu", "a", "y")]
    model = graph(nodes, {"x": [2, 8]}, ["y"], w=normal(8, 6), b=normal(6))
    found = by_node(model, PLAIN)["h"]
    assert (found.bias, found.bias_add, found.output, found.absorbed) == ("b", "a", "y", "y")
    assert by_node(model, PLAIN, "a")["h"].bias_add is None
    assert by_node(model, replace(PLAIN, bias="float"))["h"].bias_add is None


def test_keep_float_leaves_the_operator_or_the_activation_function() -> None:
    assert "c1" not in by_node(residual(), PLAIN, "c1")
    assert by_node(residual(), PLAIN, "r1")["c1"].output == "c1"
    with pytest.raises(ModelError, match="nowhere"):
        plan_placement(residual().graph, PLAIN, keep_float={"nowhere"})


@pytest.mark.parametrize(
    "model",
    [
        graph([node("Gemm", "x w", "y", transA=1)], {"x": [4, 3]}, ["y"], w=normal(4, 5)),
        graph([node("Gemm", "x w b", "y", beta=0.5)], {"x": [3, 4]}, ["y"], w=normal(4, 5), b=normal(5)),
        graph([node("Gemm", "x w b", "y")], {"x": [3, 4]}, ["y"], w=normal(4, 5), b=normal(3, 5)),
        graph([node("Gemm", "x w b", "y")], {"x": [5, 4]}, ["y"], w=normal(4, 5), b=normal(5, 1)),
        graph([node("Gemm", "x w x2", "y")], {"x": [3, 4], "x2": [5]}, ["y"], w=normal(4, 5)),
        graph([node("MatMul", "x w", "y")], {"x": [2, 3, 4]}, ["y"], w=normal(2, 4, 5)),
        graph([node("MatMul", "w x", "y")], {"x": [4, 5]}, ["y"], w=normal(3, 4)),
        graph([node("MatMul", "x x2", "y")], {"x": [3, 4], "x2": [4, 5]}, ["y"]),
    ],
)
def test_what_has_no_integer_form_is_left(model: onnx.ModelProto) -> None:
    assert plan_placement(model.graph, PLAIN) == []


def test_a_model_with_qdq_keeps_its_own() -> None:
    nodes = [node("QuantizeLinear", "x s", "q"), node("DequantizeLinear", "q s", "d"), node("MatMul", "d w", "y")]
    assert plan_placement(graph(nodes, {"x": [2, 4]}, ["y"], w=normal(4, 4), s=0.1).graph, PLAIN) == []


def test_one_calibration_serves_every_table() -> None:
    models = [residual(), *(CASES[name].build() for name in ("conv", "conv1d", "transformer", "embedding", "shared"))]
    tables = [
        PLAIN, replace(PLAIN, keep_depthwise_float=False), replace(PLAIN, residual_add="both"),
        replace(PLAIN, quantize_outputs=False, residual_add="shortcut", bias="float"), replace(PLAIN, float_outputs=("MatMul",)),
    ]  # fmt: skip
    for model in models:
        calibrated = calibrated_tensors(model.graph)
        assert len(set(calibrated)) == len(calibrated)
        for table in tables:
            assert set(planned_tensors(plan_placement(model.graph, table))) <= set(calibrated)
    assert calibrated_tensors(residual().graph) == ["x", "r1", "r2", "c3", "r3", "flat", "y"]
