"""What is written for TensorRT: where Q/DQ stands, what is float16, what becomes of Q/DQ that was given, and which opset it has."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgekit_tensorrt.given import complete
from edgekit_tensorrt.graph_view import GraphView
from edgekit_tensorrt.half import to_half
from edgekit_tensorrt.limits import Limits
from edgekit_tensorrt.lint import errors, lint
from edgekit_tensorrt.opsets import lower, raised
from edgekit_tensorrt.placement import PAIRED, STORED, narrow_nodes
from edgekit_tensorrt.shapes import plain_names, profile
from edgekit_tensorrt.target import TARGET
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from support.quantized_graphs import copy, graph, node, normal, ranges_of, run, sqnr_db
from support.tensorrt_models import CASES
from support.tensorrt_sites import site
from support.tensorrt_sketch import Sketch, conv_of

from edgekit.errors import ModelError
from edgekit.frontends.graph import node_id, opset_of
from edgekit.model import load_model
from edgekit.quantize.emitter import emit_qdq
from edgekit.quantize.placement import plan_placement
from edgekit.schemes import AsIs, Int8Static
from edgekit.testing.harness import ListFeeds
from edgekit.testing.models import CASES as MODELS
from edgekit.types import BuildData, Candidate, TensorSpec

ORIN = Limits(20, 10, (10, 3), (8, 7))


# ---------------------------------------------------------------- placement
@st.composite
def nets(draw: st.DrawFn) -> onnx.ModelProto:
    """Chains of convolutions with normalizations, activations, shortcuts and depthwise ones, and a product at the end."""
    g = Sketch(seed=draw(st.integers(0, 99)))
    channels, x = 16, g.input(1, 16, 6, 6)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "depthwise", "residual", "pool", "transposed"]))
        if kind == "pool":
            x = g.op("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            continue
        if kind == "transposed":
            x = g.op("ConvTranspose", x, g.weight(channels, 16, 1, 1))
            channels = 16
            continue
        group, outputs = (
            (channels, channels)
            if kind == "depthwise"
            else (1, channels if kind == "residual" else draw(st.sampled_from([16, 24])))
        )
        bias = [g.weight(outputs)] if draw(st.booleans()) else []
        made = conv_of(g, x, g.weight(outputs, channels // group, 3, 3), *bias, group=group)
        if draw(st.booleans()):
            made = g.op(
                "BatchNormalization",
                made,
                g.const(np.ones(outputs)),
                *(g.const(np.zeros(outputs)) for _ in "bm"),
                g.const(np.ones(outputs)),
            )
        x = g.op("Add", made, x) if kind == "residual" else made
        channels = outputs
        if draw(st.booleans()):
            x = g.op("Relu", x)
    flat = g.op("Flatten", g.op("GlobalAveragePool", x))
    return g.model(g.op("Gemm", flat, g.weight(channels, 16)))


@given(nets(), st.sampled_from([STORED, PAIRED]))
@settings(max_examples=25)
def test_what_is_placed_is_legal_symmetric_and_on_inputs_alone(model: onnx.ModelProto, placement) -> None:
    feeds = [{model.graph.input[0].name: normal(1, 16, 6, 6, seed=seed)} for seed in range(2)]
    made = copy(model)
    plan = plan_placement(made.graph, placement)
    emit_qdq(made, plan, placement, ranges_of(model, feeds))
    assert errors(lint(made, ORIN)) == []
    view = GraphView(made)
    planned = {operator.node for operator in plan}
    for each in made.graph.node:
        if each.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero, steps = view.constant(each.input[2]), view.constant(each.input[1])
            assert zero is not None
            assert zero.dtype == np.int8
            assert not zero.any()
            assert view.is_constant(each.input[0]) or each.op_type == "DequantizeLinear" or steps.size == 1
        elif each.op_type in ("Conv", "ConvTranspose", "Gemm"):
            assert node_id(each) in planned
            makers = [view.makers[name].op_type for name in each.input[:2]]
            assert makers == ["DequantizeLinear"] * 2
            assert all(view.is_constant(name) for name in each.input[2:]), "biases stay"
        elif each.op_type == "Add":
            rounded = [view.makers.get(name) is not None and view.makers[name].op_type == "DequantizeLinear" for name in each.input]
            assert sum(rounded) <= 1, "the shortcut alone"
    want, got = (run(one, feeds[0], simulated=True) for one in (model, made))
    assert sqnr_db(list(want.values()), list(got.values())) > 15


def test_both_forms_of_weights_compute_the_same() -> None:
    model = graph([node("Conv", "x w", "c"), node("Relu", "c", "y")], {"x": [1, 16, 6, 6]}, ["y"], w=normal(16, 16, 3, 3))
    feeds = [{"x": normal(1, 16, 6, 6, seed=seed)} for seed in range(2)]
    outputs = []
    for placement in (STORED, PAIRED):
        made = copy(model)
        emit_qdq(made, plan_placement(made.graph, placement), placement, ranges_of(model, feeds))
        outputs.append(run(made, feeds[0], simulated=True)["y"])
    np.testing.assert_array_equal(*outputs)


def test_a_shortcut_through_a_normalization_is_the_one_that_is_rounded() -> None:
    g = Sketch()
    x = g.op("Relu", g.input(1, 16, 8, 8))
    made = conv_of(g, x, g.weight(16, 16, 3, 3))
    ones, zeros = g.const(np.ones(16)), g.const(np.zeros(16))
    normalized = g.op("BatchNormalization", made, ones, zeros, zeros, ones)
    total = g.op("Add", normalized, x)
    plan = {operator.node: operator for operator in plan_placement(g.model(total).graph, STORED)}
    assert plan[total].activations == (x,)


def test_a_bias_that_is_reshaped_on_the_way_is_no_shortcut() -> None:
    g = Sketch()
    made = conv_of(g, g.input(1, 16, 8, 8), g.weight(16, 16, 3, 3))
    bias = g.op("Reshape", g.weight(16), g.const([1, 16, 1, 1], np.int64))
    total = g.op("Add", made, bias)
    assert total not in {operator.node for operator in plan_placement(g.model(total).graph, STORED)}


def test_a_branch_without_a_quantized_end_is_the_shortcut_however_long() -> None:
    g = Sketch()
    x = g.input(1, 16, 8, 8)
    short = conv_of(g, x, g.weight(16, 16, 3, 3))
    long = g.op("Tanh", g.op("Sigmoid", g.op("Exp", x)))
    total = g.op("Add", short, long)
    plan = {operator.node: operator for operator in plan_placement(g.model(total).graph, STORED)}
    assert plan[total].activations == (long,)


@pytest.mark.parametrize(
    ("shape", "group", "taps", "is_input", "narrow"),
    [
        ((16, 16), 1, 3, False, False), ((32, 3), 1, 3, True, False), ((8, 3), 1, 3, True, False), ((10, 3), 1, 3, True, True),
        ((8, 8), 1, 3, False, True), ((32, 8), 1, 3, False, False), ((16, 1), 16, 3, False, False), ((16, 1), 16, 1, False, True),
        ((12, 1), 12, 3, False, True),
    ],
)  # fmt: skip
def test_narrow_convolutions_stay_float(shape, group, taps, is_input, narrow) -> None:
    g = Sketch()
    x = g.input(1, shape[1] * group, 8, 8)
    x = x if is_input else g.op("Relu", x)
    made = g.op("Conv", x, g.weight(*shape, taps, taps), group=group)
    assert bool(narrow_nodes(g.model(made))) == narrow


@pytest.mark.parametrize(("rows", "k", "n", "narrow"), [(8, 32, 16, False), (1, 32, 32, True), (8, 32, 1, True), (8, 8, 32, True)])
def test_narrow_products_stay_float(rows, k, n, narrow) -> None:
    g = Sketch()
    made = g.op("MatMul", g.input(rows, k), g.weight(k, n))
    assert bool(narrow_nodes(g.model(made))) == narrow


# ---------------------------------------------------------------- float16
def elements(model: onnx.ModelProto) -> dict[str, int | None]:
    view = GraphView(model)
    return {each.name: view.type_of(each.output[0]) for each in model.graph.node}


def half_of(name: str, **kept) -> tuple[onnx.ModelProto, Counter[str]]:
    model = MODELS[name].build()
    for each in model.graph.node:
        each.name = node_id(each)
    return model, to_half(model, **kept)


@pytest.mark.parametrize("name", MODELS)
def test_float16_keeps_inputs_and_outputs_and_comes_close(name: str) -> None:
    case = MODELS[name]
    exact, (model, done) = case.build(), half_of(name)
    onnx.checker.check_model(model)
    assert done, "something is float16"
    for a, b in zip((*exact.graph.input, *exact.graph.output), (*model.graph.input, *model.graph.output), strict=True):
        assert (a.name, a.type.tensor_type.elem_type) == (b.name, b.type.tensor_type.elem_type)
    feed = case.feed(1, 3)
    want, got = run(exact, feed), run(model, feed, simulated=True)
    for key, value in want.items():
        np.testing.assert_allclose(
            got[key].astype(np.float64), value.astype(np.float64), atol=2e-2 * max(1.0, float(np.abs(value).max(initial=0)))
        )


def test_sensitive_operators_stay_in_float32() -> None:
    model, _ = half_of("transformer")
    kinds = elements(model)
    assert kinds["normed"] == TensorProto.FLOAT
    assert kinds["q_product"] == kinds["attention"] == TensorProto.FLOAT16, "attention is one kernel, softmax included"
    model, _ = half_of("conv")
    assert elements(model)["probabilities"] == TensorProto.FLOAT, "a last softmax is a result"
    assert errors(lint(model, ORIN)) == []


def test_float16_keeps_what_is_asked_for() -> None:
    model, done = half_of("conv", keep_float={"c1", "logits"})
    kinds = elements(model)
    assert kinds["c1"] == kinds["logits"] == TensorProto.FLOAT
    assert kinds["c3"] == TensorProto.FLOAT16
    assert done["Gemm"] == 0


def test_casts_at_the_outputs_are_not_counted() -> None:
    model = graph([node("MatMul", "x w", "y")], {"x": [2, 4]}, ["y"], w=np.ones((4, 4)))
    model.graph.node[0].name = "y"
    assert to_half(model) == Counter({"MatMul": 1})


def test_a_weight_beyond_float16_stays_in_float32() -> None:
    model = graph([node("MatMul", "x w", "y")], {"x": [2, 4]}, ["y"], w=np.full((4, 4), 1e5))
    assert to_half(model) == Counter()


def test_scales_become_float16_where_the_opset_has_that_and_stay_where_they_are_too_small() -> None:
    def quantized(scale: float) -> onnx.ModelProto:
        g = Sketch(opset=19)
        w = g.stored_weight(16, 16, 3, 3, scale=np.full(16, scale))
        return g.model(conv_of(g, g.pair(g.op("Relu", g.op("Sigmoid", g.input(1, 16, 8, 8)))), w))

    for scale, kind in ((0.013, TensorProto.FLOAT16), (1e-6, TensorProto.FLOAT)):
        model = quantized(scale)
        to_half(model)
        view = GraphView(model)
        weights = [each for each in model.graph.node if each.op_type == "DequantizeLinear" and view.is_constant(each.input[0])]
        assert [view.type_of(each.input[1]) for each in weights] == [kind]
        assert errors(lint(model, ORIN)) == []


# ---------------------------------------------------------------- Q/DQ that was given
def completed(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Counter[str]]:
    made = copy(model)
    return made, complete(made)


def conv_with(activation, weight, *bias) -> onnx.ModelProto:
    g = Sketch()
    return g.model(conv_of(g, activation(g, g.input(1, 16, 8, 8)), weight(g), *(each(g) for each in bias)))


GIVEN = {
    "uint8 around 128": lambda: conv_with(
        lambda g, x: g.pair(x, zero=128, zero_dtype=np.uint8), lambda g: g.stored_weight(16, 16, 3, 3, zero=128, dtype=np.uint8)
    ),
    "int32 bias": CASES["int32 bias"].build,
    "rounded bias": CASES["rounded bias"].build,
    "weights alone": CASES["weights alone"].build,
    "scale 0": CASES["scale 0"].build,
}


@pytest.mark.parametrize("name", GIVEN)
def test_completing_changes_no_number_and_makes_it_legal(name: str) -> None:
    model = GIVEN[name]()
    assert errors(lint(model, ORIN))
    made, done = completed(model)
    assert done
    assert errors(lint(made, ORIN)) == []
    feed = {model.graph.input[0].name: normal(1, 16, 8, 8)}
    want, got = run(model, feed, simulated=True), run(made, feed, simulated=True)
    for key, value in want.items():
        np.testing.assert_allclose(got[key], value, rtol=1e-4, atol=1e-5)


def test_a_float_weight_beside_a_quantized_activation_gets_its_own_scales() -> None:
    model = CASES["activation alone"].build()
    made, done = completed(model)
    assert len(done) == 1
    assert lint(made, ORIN) == []
    feed = {"in_1": normal(1, 16, 8, 8)}
    assert sqnr_db(list(run(model, feed, simulated=True).values()), list(run(made, feed, simulated=True).values())) > 35


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.kind == "legal" and "output_dtype" not in name])
def test_what_is_legal_is_left_alone(name: str) -> None:
    model = CASES[name].build()
    made, done = completed(model)
    assert done == Counter()
    assert made.graph.node == model.graph.node


def test_a_trained_quantization_keeps_every_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    original = CASES["residual"].build()
    path = tmp_path / "qat.onnx"
    onnx.save(original, path)
    model = load_model(path)
    feeds = ListFeeds([{"in_1": 10 * normal(1, 16, 8, 8)}])  # a calibration that would change every scale
    out = tmp_path / "out"
    out.mkdir()
    artifact = TARGET.build(model, Candidate("tensorrt", AsIs()), BuildData(feeds, feeds, "0" * 64), site(), out)
    made = onnx.load(out / "model.onnx")

    def scales(proto: onnx.ModelProto) -> list[bytes]:
        view = GraphView(proto)
        return sorted(
            view.constant(n.input[1]).tobytes() for n in proto.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")
        )

    assert scales(made) == scales(original)
    assert artifact.provenance["precision"] == "int8"
    assert TARGET.reject(model, Candidate("tensorrt", Int8Static()), site()) is not None


# ---------------------------------------------------------------- opsets and names
def test_a_model_is_lowered_where_its_operators_are_the_same() -> None:
    g = Sketch(opset=18)
    x = g.op("ReduceMean", g.op("Relu", g.input(2, 3, 4)), g.const([1], np.int64), keepdims=0)
    model = g.model(g.op("Reshape", x, g.const([8], np.int64)))
    feed = {"in_1": normal(2, 3, 4)}
    want = run(model, feed)
    lower(model, 13)
    assert opset_of(model) == 13
    np.testing.assert_array_equal(next(iter(run(model, feed).values())), next(iter(want.values())))


def test_a_model_that_cannot_be_lowered_names_the_operator() -> None:
    g = Sketch()
    model = g.model(g.op("LayerNormalization", g.input(4, 8), g.weight(8), axis=-1))
    before = copy(model)
    with pytest.raises(ModelError, match="LayerNormalization"):
        lower(model, 13)
    assert model == before


def test_a_reduction_over_nothing_is_not_lowered_to_one_over_everything() -> None:
    g = Sketch(opset=18)
    model = g.model(g.op("ReduceMean", g.input(2, 3), noop_with_empty_axes=1))
    with pytest.raises(ModelError, match="ReduceMean"):
        lower(model, 13)


def test_a_model_is_raised_for_scales_of_float16() -> None:
    model = CASES["conv"].build()
    made = raised(model, 19)
    assert made is not None
    assert opset_of(made) == 19
    assert {value.name for value in made.graph.input} == {"in_1"}


def test_names_that_a_command_line_would_split_are_plain_in_the_artifact() -> None:
    model = graph([node("Relu", "a:0", "b,c")], {"a:0": [1, 4]}, ["b,c"])
    names = plain_names(model, [TensorSpec("a:0", "float32", (1, 4)), TensorSpec("b,c", "float32", (1, 4))])
    assert {old: spec.name for old, spec in names.items()} == {"a:0": "a_0", "b,c": "b_c"}
    assert (model.graph.node[0].input[0], model.graph.node[0].output[0]) == ("a_0", "b_c")


def test_plain_names_are_those_of_no_other_tensor() -> None:
    model = graph([node("Relu", "a:0", "a_0"), node("Neg", "a_0", "b"), node("Abs", "b", "a,0")], {"a:0": [1, 4]}, ["a,0"])
    (given,) = plain_names(model, [TensorSpec("a:0", "float32", (1, 4))]).values()
    (got,) = plain_names(model, [TensorSpec("a,0", "float32", (1, 4))]).values()
    assert len({given.name, got.name, "a_0", "b"}) == 4
    onnx.checker.check_model(model)


def test_free_axes_span_what_was_seen() -> None:
    spec = TensorSpec("x", "float32", ("batch", "length", 8))
    feeds = ListFeeds([{"x": np.zeros((1, n, 8), np.float32)} for n in (5, 7, 7)])
    assert profile([spec], BuildData(feeds, feeds, "")) == {"x": {"min": [1, 5, 8], "opt": [1, 7, 8], "max": [1, 7, 8]}}
    many, long = ListFeeds([{"x": normal(1, 5, 8)}] * 600), ListFeeds([{"x": normal(1, 9, 8)}])
    assert profile([spec], BuildData(many, long, "")) == {"x": {"min": [1, 5, 8], "opt": [1, 5, 8], "max": [1, 9, 8]}}
    assert profile([spec], None) == {"x": {"min": [1, 1, 8], "opt": [1, 64, 8], "max": [8, 512, 8]}}
    assert profile([dataclasses.replace(spec, shape=(1, 4, 8))], None) is None
