from __future__ import annotations

import numpy as np
import onnx
import pytest
from support.onnx_graphs import FLOAT, linear, model, node, value

from edgekit.frontends.quantized import quantized_by

ENDS = [value("x", FLOAT, [1, 8])], [value("y", FLOAT, [1, 8])]
INTEGERS = np.arange(64, dtype=np.int8).reshape(8, 8)
SCALE, ZERO = np.float32(0.1), np.int8(3)


def test_float_model() -> None:
    assert quantized_by(linear()) is None


def test_qdq() -> None:
    nodes = [node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    assert quantized_by(model(nodes, *ENDS, {"s": np.array(SCALE), "z": np.array(ZERO)})) == "Q/DQ"


def test_dequantized_weight() -> None:
    nodes = [node("DequantizeLinear", ["w", "s"], ["f"]), node("MatMul", ["x", "f"], ["y"])]
    assert quantized_by(model(nodes, *ENDS, {"w": INTEGERS, "s": np.array(SCALE)})) == "Q/DQ"


@pytest.mark.parametrize("operator", ["QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"])
def test_integer_operators(operator: str) -> None:
    assert quantized_by(model([node(operator, ["x"], ["y"])], *ENDS)) == "QOperator"


@pytest.mark.parametrize(
    ("operator", "sign"),
    [
        ("MatMulNBits", "weight-only operators"),
        ("QAttention", "QOperator"),
        ("QLinearAdd", "QOperator"),
        ("FusedMatMul", None),
        ("QuickGelu", None),
    ],
)
def test_microsoft_operators(operator: str, sign: str | None) -> None:
    assert quantized_by(model([node(operator, ["x"], ["y"], domain="com.microsoft")], *ENDS)) == sign


@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize("in_constant", [False, True])
def test_integers_cast_and_scaled_by_hand(zero_point: bool, in_constant: bool) -> None:
    nodes = [node("Cast", ["w"], ["f"], to=FLOAT)]
    if zero_point:
        nodes.append(node("Sub", ["f", "z"], ["f0"]))
    nodes += [node("Mul", ["f0" if zero_point else "f", "s"], ["dq"]), node("MatMul", ["x", "dq"], ["y"])]
    stored = {"w": INTEGERS, "s": np.full((1, 8), SCALE), "z": np.array(3, np.float32)}
    if in_constant:
        nodes.insert(0, node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(stored.pop("w"))))
    assert quantized_by(model(nodes, *ENDS, stored)) == "integer weights"


def test_a_mask_is_no_quantized_weight() -> None:
    mask = np.tri(8, dtype=np.uint8)
    nodes = [node("Cast", ["mask"], ["f"], to=FLOAT), node("Mul", ["x", "f"], ["y"])]
    assert quantized_by(model(nodes, *ENDS, {"mask": mask})) is None


def test_inside_a_branch() -> None:
    inner = onnx.helper.make_graph([node("MatMulInteger", ["a", "b"], ["o"])], "inner", [], [])
    proto = linear()
    proto.graph.node.append(node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))
    assert quantized_by(proto) == "QOperator"
