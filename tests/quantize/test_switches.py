"""Switching operators between float and their quantized form: the simulation is the artifact's arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest

from edgekit.errors import ModelError
from edgekit.frontends.graph import node_id
from edgekit.frontends.onnx_clean import lift_constants
from edgekit.quantize.emitter import emit_qdq, shared_ranges
from edgekit.quantize.own_errors import own_errors
from edgekit.quantize.placement import calibrated_tensors, plan_placement
from edgekit.quantize.sessions import open_session
from edgekit.quantize.switches import SwitchedModel
from edgekit.quantize.types import Placement, Quantizable, Range
from edgekit.testing.models import conv_net, shared_net, transformer_block
from edgekit.types import Array


def perceptron() -> onnx.ModelProto:
    """Products whose biases are added by nodes of their own, a Relu behind one of them."""
    random = np.random.default_rng(0)
    sizes = {"w1": (16, 32), "b1": (32,), "w2": (32, 4), "b2": (4,)}
    return onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("MatMul", ["x", "w1"], ["product"]),
                onnx.helper.make_node("Add", ["b1", "product"], ["sum"]),
                onnx.helper.make_node("Relu", ["sum"], ["hidden"]),
                onnx.helper.make_node("MatMul", ["hidden", "w2"], ["last"]),
                onnx.helper.make_node("Add", ["last", "b2"], ["y"]),
            ],
            "perceptron",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3, 16])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3, 4])],
            [onnx.numpy_helper.from_array(random.normal(size=size).astype(np.float32), name) for name, size in sizes.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )


PLACEMENT = Placement("test", {"Conv": 0, "MatMul": 1, "Gemm": 1})
MODELS = {"conv": conv_net, "transformer": transformer_block, "shared": shared_net, "perceptron": perceptron}


def feeds_of(model: onnx.ModelProto, n: int = 6) -> list[dict[str, Array]]:
    found = []
    for seed in range(n):
        random = np.random.default_rng(seed)
        feed = {}
        for value in model.graph.input:
            shape = [dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]
            if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
                feed[value.name] = random.normal(size=shape).astype(np.float32)
            else:
                feed[value.name] = random.integers(0, 5, shape).astype(np.int64)
        found.append(feed)
    return found


def ranges_of(model: onnx.ModelProto, feeds: list[dict[str, Array]]) -> dict[str, Range]:
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    names = calibrated_tensors(model.graph)
    there = {value.name for value in (*model.graph.output, *model.graph.input)}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    session = open_session(exposed, threads=1)
    outputs = [value.name for value in session.get_outputs()]
    seen: dict[str, list[Array]] = {}
    for feed in feeds:
        values = dict(zip(outputs, session.run(outputs, feed), strict=True)) | feed
        for name in names:
            seen.setdefault(name, []).append(values[name])
    return {
        name: Range(min(0.0, *(float(v.min()) for v in values)), max(0.0, *(float(v.max()) for v in values)))
        for name, values in seen.items()
    }


def prepared(name: str) -> tuple[onnx.ModelProto, list[dict[str, Array]], dict[str, Range], list[Quantizable]]:
    model = MODELS[name]()
    lift_constants(model.graph)
    feeds = feeds_of(model)
    operators = plan_placement(model.graph, PLACEMENT)
    ranges = shared_ranges(model.graph, operators, ranges_of(model, feeds))
    return model, feeds, ranges, [Quantizable(operator) for operator in operators]


def run_plain(model: onnx.ModelProto, feed: Mapping[str, Array]) -> dict[str, Array]:
    session = open_session(model, threads=1)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_with_nothing_switched_on_it_is_the_float_model(name: str) -> None:
    model, feeds, ranges, items = prepared(name)
    before = model.SerializeToString()
    switched = SwitchedModel(model, items, PLACEMENT, ranges, threads=1)
    for output, value in switched.run(feeds[0], ()).items():
        np.testing.assert_allclose(value, run_plain(model, feeds[0])[output], rtol=1e-5, atol=1e-5)
    assert model.SerializeToString() == before


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("keep", [0, 1])
def test_with_all_or_all_but_one_switched_on_it_is_what_the_emitter_writes(name: str, keep: int) -> None:
    model, feeds, ranges, items = prepared(name)
    switched = SwitchedModel(model, items, PLACEMENT, ranges, threads=1)
    chosen = items[keep:]
    emitted = onnx.ModelProto()
    emitted.CopyFrom(model)
    emit_qdq(emitted, [item.operator for item in chosen], PLACEMENT, ranges)
    difference: dict[str, float] = {}
    caused: dict[str, float] = {}
    for feed in feeds:
        exact, expected = run_plain(model, feed), run_plain(emitted, feed)
        found = switched.run(feed, [item.node for item in chosen])
        for output, value in expected.items():
            difference[output] = difference.get(output, 0.0) + float(((found[output] - value).astype(np.float64) ** 2).sum())
            caused[output] = caused.get(output, 0.0) + float(((value - exact[output]).astype(np.float64) ** 2).sum())
    for output, energy in caused.items():  # integer biases are rounded, and a value on a border falls to either side
        assert difference[output] <= 0.1 * energy, output


@pytest.mark.parametrize("name", MODELS)
def test_own_errors_are_those_of_one_operator_switched_on_at_its_output(name: str) -> None:
    model, feeds, ranges, items = prepared(name)
    errors = own_errors(model, items, PLACEMENT, ranges, feeds, threads=1)
    assert set(errors) == {item.node for item in items}
    assert all(0 < error < 0.1 for error in errors.values()), errors
    last = items[-1]
    outputs = {value.name for value in model.graph.output}
    name_of_end = last.rounded_output or last.node
    if name_of_end in outputs:
        switched = SwitchedModel(model, items, PLACEMENT, ranges, threads=1)
        noise = signal = 0.0
        for feed in feeds:
            exact = run_plain(model, feed)[name_of_end].astype(np.float64)
            noise += float(((switched.run(feed, [last.node])[name_of_end] - exact) ** 2).sum())
            signal += float((exact**2).sum())
        assert errors[last.node] == pytest.approx(noise / signal, rel=1e-3)


def test_what_the_runtime_fails_on_is_an_error_of_this_model() -> None:
    model, _, ranges, items = prepared("perceptron")
    odd = {"x": np.zeros((3, 15), np.float32)}
    with pytest.raises(ModelError, match="does not run with its quantized forms"):
        SwitchedModel(model, items, PLACEMENT, ranges, threads=1).run(odd, ())
    with pytest.raises(ModelError, match="does not run with its quantized forms"):
        own_errors(model, items, PLACEMENT, ranges, [odd], threads=1)


def test_an_error_that_is_no_number_is_infinite() -> None:
    model, feeds, ranges, items = prepared("perceptron")
    loud = [{"x": np.full_like(feed["x"], 1e30)} for feed in feeds]  # its energy is beyond float32
    assert own_errors(model, items, PLACEMENT, ranges, loud, threads=1)["product"] == np.inf


def test_a_dynamic_operator_takes_its_range_from_the_value_itself() -> None:
    model, feeds, _, items = prepared("transformer")
    dynamic = [Quantizable(item.operator, dynamic=True) for item in items]
    switched = SwitchedModel(model, dynamic, PLACEMENT, {}, threads=1)
    for feed in feeds:
        loud = {key: value * 1000 if value.dtype.kind == "f" else value for key, value in feed.items()}
        for output, value in run_plain(model, loud).items():
            found = switched.run(loud, switched.nodes)[output]
            if value.dtype.kind == "f":
                assert float(np.linalg.norm(found - value)) < 0.1 * float(np.linalg.norm(value))


def test_every_node_id_of_the_float_model_is_still_there() -> None:
    model, _, ranges, items = prepared("conv")
    switched = SwitchedModel(model, items, PLACEMENT, ranges, threads=1)
    assert set(switched.nodes) <= {node_id(node) for node in model.graph.node}
