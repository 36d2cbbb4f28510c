from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from support.quantized_graphs import PLAIN, copy, graph, node, normal, ranges_of, run, sqnr_db

from edgekit.errors import ModelError
from edgekit.quantize.emitter import emit_qdq, shared_ranges
from edgekit.quantize.placement import plan_placement
from edgekit.quantize.types import Placement, Range

INT8_INPUTS = Placement(
    "inputs alone, symmetric", {"Conv": 0, "MatMul": 1, "Gemm": 1}, activation_type="int8", activation_symmetric=True,
    quantize_outputs=False, absorbed=(), bias="float", residual_add="shortcut",
)  # fmt: skip


def emitted(model: onnx.ModelProto, placement: Placement = PLAIN, keep=(), feeds=None, ranges=None) -> onnx.ModelProto:
    feeds = feeds or [feed_of(model, seed) for seed in range(4)]
    made = copy(model)
    emit_qdq(made, plan_placement(made.graph, placement, keep_float=keep), placement, ranges or ranges_of(model, feeds))
    onnx.checker.check_model(made, full_check=True)
    return made


def feed_of(model: onnx.ModelProto, seed: int) -> dict[str, np.ndarray]:
    return {
        value.name: normal(*(dim.dim_value for dim in value.type.tensor_type.shape.dim), seed=seed + index)
        for index, value in enumerate(model.graph.input)
    }


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def types(model: onnx.ModelProto) -> Counter[str]:
    return Counter(one.op_type for one in model.graph.node)


def closeness_db(model: onnx.ModelProto, made: onnx.ModelProto) -> float:
    feed = feed_of(model, 0)
    exact, got = run(model, feed), run(made, feed, simulated=True)
    assert list(exact) == list(got)
    return sqnr_db(list(exact.values()), list(got.values()))


@st.composite
def nets(draw) -> onnx.ModelProto:
    """Chains of convolutions and pools with shortcuts, shared weights and extra outputs; a product at the end."""
    channels = draw(st.sampled_from([3, 8]))
    weights = {f"w{i}": normal(channels, channels, 3, 3, seed=i) / np.sqrt(9 * channels) for i in range(2)}
    weights |= {"depthwise": normal(channels, 1, 3, 3, seed=7) / 3, "b": normal(channels, seed=8)}
    nodes, tensor, made = [], "x", ["x"]
    for index in range(draw(st.integers(1, 5))):
        kind, name = draw(st.sampled_from(["conv", "conv", "biased", "depthwise", "relu", "clip", "add", "pool"])), f"t{index}"
        if kind in ("conv", "biased"):
            bias = " b" if kind == "biased" else ""
            nodes.append(node("Conv", f"{tensor} w{draw(st.integers(0, 1))}{bias}", name, pads=[1] * 4))
        elif kind == "depthwise":
            nodes.append(node("Conv", f"{tensor} depthwise", name, pads=[1] * 4, group=channels))
        elif kind == "add":
            nodes.append(node("Add", f"{tensor} {draw(st.sampled_from(made))}", name))
        elif kind == "pool":
            nodes.append(node("MaxPool", tensor, name, kernel_shape=[3, 3], pads=[1] * 4))
        else:
            nodes.append(node("Relu", tensor, name) if kind == "relu" else node("Clip", f"{tensor} low high", name))
        made.append(name)
        tensor = name
    nodes += [node("Flatten", tensor, "flat"), node("Gemm", "flat dense", "y", transB=1, alpha=0.5)]
    outputs = ["y", *(name for name in made[1:] if draw(st.booleans()))]
    dense = normal(5, channels * 25, seed=9) / 10
    return graph(nodes, {"x": [1, channels, 5, 5]}, outputs, dense=dense, low=-1.0, high=1.5, **weights)


TABLES = [
    PLAIN, replace(PLAIN, residual_add="both", keep_depthwise_float=False), replace(PLAIN, guard_floats=True),
    replace(PLAIN, activation_type="int8"), replace(PLAIN, weight_type="uint8"), replace(PLAIN, float_outputs=("Gemm",)),
    replace(PLAIN, activation_type="int8", activation_symmetric=True), replace(PLAIN, per_channel=False), INT8_INPUTS,
]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(nets(), st.sampled_from(TABLES), st.data())
def test_what_is_emitted_is_close_to_float_and_looks_the_same_from_outside(model, placement, data) -> None:
    names = [one.output[0] for one in model.graph.node]
    keep = data.draw(st.sets(st.sampled_from(names), max_size=2))
    made = emitted(model, placement, keep)
    assert list(made.graph.input) == list(model.graph.input)
    assert list(made.graph.output) == list(model.graph.output)
    assert closeness_db(model, made) > 18
    assert keep <= {one.name for one in made.graph.node}, "what is kept is there under its NodeId"
    pairs = [tuple(one.input) for one in made.graph.node if one.op_type == "QuantizeLinear"]
    assert len(set(pairs)) == len(pairs), "no tensor is quantized twice to the same steps"
    used = {name for one in made.graph.node for name in one.input}
    assert {tensor.name for tensor in made.graph.initializer} <= used


@pytest.mark.parametrize("placement", TABLES)
def test_fine_steps_leave_float_alone_up_to_the_weights(placement: Placement) -> None:
    """With weights that lie on the grid, what is left is the rounding of activations, which also lie on theirs."""
    steps = np.random.default_rng(0).integers(-127, 128, (4, 4))
    steps[np.arange(4), np.arange(4)] = 127  # so that each row and column reaches the end of the grid
    model = graph([node("MatMul", "x w", "y")], {"x": [16, 4]}, ["y"], w=steps / 64)
    feed = {"x": np.random.default_rng(1).integers(-127, 128, (16, 4)).astype(np.float32) / 127}
    made = emitted(model, placement, ranges={"x": Range(-127 / 127, 128 / 127), "y": Range(-16, 16)})
    error = np.abs(run(made, feed, simulated=True)["y"] - run(model, feed)["y"]).max()
    assert error <= (16.2 / 127 if placement.quantize_outputs else 0.05)


def test_float_readers_read_the_exact_tensor_unless_a_kernel_has_rounded_it() -> None:
    nodes = [node("Relu", "x", "r"), node("MatMul", "r w", "h"), node("Add", "h r", "y")]
    made = emitted(graph(nodes, {"x": [2, 8]}, ["y"], w=normal(8, 8)))
    add = next(one for one in made.graph.node if one.name == "y")
    assert list(add.input) == ["h", "r"]
    producer = {name: one for one in made.graph.node for name in one.output}
    assert producer["h"].op_type == "DequantizeLinear"
    assert producer["r"].op_type == "Relu"


def test_one_pair_serves_all_quantized_readers() -> None:
    nodes = [node("MatMul", f"x w{i}", f"h{i}") for i in range(3)]
    weights = {f"w{i}": normal(8, 8, seed=i) for i in range(3)}
    made = emitted(graph(nodes, {"x": [2, 8]}, ["h0", "h1", "h2"], **weights), replace(PLAIN, float_outputs=("MatMul",)))
    assert types(made)["QuantizeLinear"] == 1


def test_a_shared_weight_is_stored_once_an_axis_and_stays_float_for_float_readers() -> None:
    nodes = [
        node("MatMul", "x w", "h1"), node("MatMul", "h1 w", "h2"), node("Gemm", "h2 w", "h3", transB=1), node("Add", "h3 w", "y"),
    ]  # fmt: skip
    model = graph(nodes, {"x": [6, 6]}, ["y"], w=normal(6, 6) / 3)
    made = emitted(model)
    matrices = [array for array in constants(made).values() if array.shape == (6, 6)]
    assert sorted(array.dtype.name for array in matrices) == ["float32", "int8", "int8"]
    assert closeness_db(model, made) > 30


def test_a_bias_is_stored_in_the_steps_of_the_products() -> None:
    made = emitted(graph([node("Conv", "x w b", "y")], {"x": [1, 3, 5, 5]}, ["y"], w=normal(4, 3, 3, 3), b=normal(4)))
    found = constants(made)
    assert found["b_quantized"].dtype == np.int32
    assert np.allclose(found["b_scale"], found["x_scale"] * found["w_scale"])
    assert np.allclose(found["b_quantized"] * found["b_scale"], normal(4), atol=float(found["b_scale"].max()))


def test_tiny_and_dead_channels_do_not_break_the_bias() -> None:
    weight = normal(5, 3, 1, 1)
    weight[0], weight[1], weight[2] = 0, 1e-30, 1e-42
    for bias in (np.full(5, 100), np.zeros(5), np.full(5, 1e-3)):
        model = graph([node("Conv", "x w b", "y")], {"x": [1, 3, 5, 5]}, ["y"], w=weight, b=bias)
        made = emitted(model)
        found = constants(made)
        assert np.abs(found["b_quantized"].astype(np.int64)).max() <= 2**30
        assert all((found[name] >= np.finfo(np.float32).tiny).all() for name in ("w_scale", "b_scale"))
        feed = feed_of(model, 0)
        exact, got = run(model, feed)["y"], run(made, feed, simulated=True)["y"]
        step = float(np.abs(exact).max()) / 255
        assert np.abs(exact - got).max() < 5 * step


def test_an_activation_that_is_always_zero_is_survived() -> None:
    nodes = [node("Relu", "x", "r"), node("Conv", "r w b", "y")]
    model = graph(nodes, {"x": [1, 3, 4, 4]}, ["y"], w=normal(2, 3, 1, 1), b=normal(2))
    feed = {"x": -np.ones((1, 3, 4, 4), np.float32)}
    made = emitted(model, feeds=[feed])
    assert np.allclose(run(made, feed, simulated=True)["y"], run(model, feed)["y"], atol=0.02)


def test_relu_disappears_where_saturation_does_its_work() -> None:
    model = graph([node("Conv", "x w", "c"), node("Relu", "c", "y")], {"x": [1, 3, 4, 4]}, ["y"], w=normal(2, 3, 1, 1))
    assert not types(emitted(model))["Relu"]
    assert types(emitted(model, replace(PLAIN, activation_type="int8", activation_symmetric=True)))["Relu"] == 1
    assert types(emitted(model, keep={"y"}))["Relu"] == 1


def test_moved_values_keep_their_steps() -> None:
    nodes = [node("Conv", "x w", "c"), node("MaxPool", "c", "p", kernel_shape=[2, 2]), node("Conv", "p v", "y")]
    model = graph(nodes, {"x": [1, 3, 6, 6]}, ["y"], w=normal(4, 3, 1, 1), v=normal(2, 4, 1, 1))
    ranges = {"c": Range(-4, 4), "p": Range(0, 3), "x": Range(-1, 1), "y": Range(-9, 9)}
    plan = plan_placement(model.graph, PLAIN)
    assert shared_ranges(model.graph, plan, ranges)["p"] == Range(-4, 4)
    assert shared_ranges(model.graph, [one for one in plan if one.node != "c"], ranges)["p"] == Range(0, 3)
    quantizers = [tuple(one.input[1:]) for one in emitted(model, ranges=ranges).graph.node if one.op_type == "QuantizeLinear"]
    assert len(quantizers) == 4
    assert len(set(quantizers)) == 3


def test_a_missing_range_is_named() -> None:
    model = graph([node("MatMul", "x w", "y")], {"x": [2, 4]}, ["y"], w=normal(4, 4))
    with pytest.raises(ModelError, match="'x' has no range"):
        emit_qdq(model, plan_placement(model.graph, PLAIN), PLAIN, {"y": Range(-1, 1)})
