from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.quantized_graphs import PLAIN, copy, graph, node, normal, ranges_of, run, sqnr_db

from edgekit.quantize import exposing
from edgekit.quantize.bias_correction import correct_biases
from edgekit.quantize.emitter import emit_qdq
from edgekit.quantize.passes import equalize, fold_batch_norms
from edgekit.quantize.placement import plan_placement
from edgekit.quantize.types import Range
from edgekit.types import Array, Feed


def types(model: onnx.ModelProto) -> Counter[str]:
    return Counter(one.op_type for one in model.graph.node)


def weight(model: onnx.ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(next(tensor for tensor in model.graph.initializer if tensor.name == name))


def normalized(operator: onnx.NodeProto, shape: list[int], weight: np.ndarray, channels: int, *outputs: str, **more):
    nodes = [operator, node("BatchNormalization", "h g o m v", "n"), node("Relu", "n", "y")]
    return graph(
        nodes, {"x": shape}, outputs or ["y"], w=weight, g=normal(channels, seed=3), o=normal(channels, seed=4),
        m=normal(channels, seed=5), v=np.abs(normal(channels, seed=6)) + 0.1, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    "model",
    [
        normalized(node("Conv", "x w", "h"), [2, 3, 6, 6], normal(8, 3, 3, 3), 8),
        normalized(node("Conv", "x w b", "h", group=2), [2, 4, 6, 6], normal(8, 2, 3, 3), 8, b=normal(8, seed=9)),
        normalized(node("ConvTranspose", "x w", "h", group=2), [2, 4, 6, 6], normal(4, 3, 2, 2), 6),
        normalized(node("Gemm", "x w b", "h", transB=1, alpha=0.5), [3, 5], normal(6, 5), 6, b=normal(6, seed=9)),
        normalized(node("Gemm", "x w", "h"), [3, 5], normal(5, 6), 6),
    ],
    ids=["conv", "grouped", "transposed", "gemm", "plain gemm"],
)
def test_a_batch_norm_is_folded(model: onnx.ModelProto) -> None:
    made = copy(model)
    assert fold_batch_norms(made)
    assert not types(made)["BatchNormalization"]
    feed = {"x": normal(*(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim), seed=1)}
    assert np.allclose(run(made, feed)["y"], run(model, feed)["y"], atol=1e-4)
    assert not fold_batch_norms(made)


def test_a_batch_norm_that_others_need_stays() -> None:
    for outputs in (("y", "h"), ("y", "n")):
        model = normalized(node("Conv", "x w", "h"), [2, 3, 6, 6], normal(8, 3, 3, 3), 8, *outputs)
        assert not fold_batch_norms(model)


def uneven(*, middle: str = "Relu") -> onnx.ModelProto:
    """Three convolutions, the second depthwise, whose channels differ by a factor of up to a thousand."""
    spread = np.geomspace(1e-2, 10, 8).astype(np.float32)
    return graph(
        [
            node("Conv", "x w1 b1", "c1"),
            node(middle, "c1", "r1"),
            node("Conv", "r1 w2", "c2", group=8, pads=[1, 1, 1, 1]),
            node("Conv", "c2 w3", "y"),
        ],
        {"x": [1, 3, 8, 8]},
        ["y"],
        w1=normal(8, 3, 1, 1) * spread[:, None, None, None], b1=normal(8, seed=1) * spread,
        w2=normal(8, 1, 3, 3, seed=2), w3=normal(4, 8, 1, 1, seed=3) / spread[:, None, None],
    )  # fmt: skip


def test_channels_are_balanced_and_the_model_computes_the_same() -> None:
    model = uneven()
    made = copy(model)
    assert equalize(made)
    feed = {"x": normal(1, 3, 8, 8, seed=7)}
    exact = run(model, feed)["y"]
    assert np.allclose(run(made, feed)["y"], exact, atol=1e-5 * np.abs(exact).max())
    spans = [np.abs(weight(made, "w1")).max(axis=(1, 2, 3)), np.abs(weight(made, "w2")).max(axis=(1, 2, 3))]
    assert np.allclose(spans[0], spans[1], rtol=0.01)
    assert not equalize(made), "it has settled"


def test_balanced_channels_quantize_better() -> None:
    feeds = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(4)]

    def closeness_db(model: onnx.ModelProto) -> float:
        made = copy(model)
        emit_qdq(made, plan_placement(made.graph, PLAIN), PLAIN, ranges_of(model, feeds))
        return sqnr_db([run(model, feed)["y"] for feed in feeds], [run(made, feed, simulated=True)["y"] for feed in feeds])

    balanced = copy(uneven())
    equalize(balanced)
    assert closeness_db(balanced) > closeness_db(uneven()) + 3


def test_nothing_is_scaled_through_what_is_not_linear() -> None:
    model = uneven(middle="Sigmoid")
    before = weight(model, "w1").copy()
    equalize(model)
    assert np.array_equal(weight(model, "w1"), before)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Conv", "x w", "y")],
        [node("Gemm", "f w b", "y", transB=1, alpha=0.5)],
        [node("Gemm", "f w", "y", transB=1, beta=0.5)],
        [node("MatMul", "f t", "h"), node("Add", "b h", "y")],
    ],
    ids=["conv without a bias", "gemm", "gemm without the bias that its beta would scale", "matmul"],
)
def test_a_shift_is_taken_off_the_bias(nodes: list[onnx.NodeProto]) -> None:
    """Activations that are cut off shift what is computed from them; the mean is right again afterwards."""
    is_conv = nodes[0].op_type == "Conv"
    shape = [4, 6, 5, 5] if is_conv else [40, 6]
    kernel = np.abs(normal(3, 6, 1, 1) if is_conv else normal(3, 6))
    weights = {"w": kernel, "b": normal(3), "t": kernel.reshape(3, 6).T}
    used = {name for one in nodes for name in one.input}
    for one in nodes:
        one.input[:] = ["x" if name == "f" else name for name in one.input]
    model = graph(nodes, {"x": shape}, ["y"], **{name: value for name, value in weights.items() if name in used})
    feeds = [{"x": np.abs(normal(*shape, seed=seed))} for seed in range(3)]
    ranges = {**ranges_of(model, feeds), "x": Range(0, 1.0)}
    exact = np.concatenate([run(model, feed)["y"] for feed in feeds])

    def mean_error(*, corrected: bool) -> float:
        made = copy(model)
        plan = plan_placement(made.graph, PLAIN)
        if corrected:
            assert correct_biases(made, plan, PLAIN, ranges, feeds) == [nodes[0].output[0]]
            plan = plan_placement(made.graph, PLAIN)
        emit_qdq(made, plan, PLAIN, ranges)
        got = np.concatenate([run(made, feed, simulated=True)["y"] for feed in feeds])
        return float(np.abs((got - exact).mean(axis=(0, 2, 3) if is_conv else 0)).max())

    assert mean_error(corrected=False) > 0.1
    assert mean_error(corrected=True) < 0.03


@pytest.mark.parametrize("rows", [[5, 3], [5, 1]])
def test_a_bias_that_is_not_one_a_channel_is_left(rows: list[int]) -> None:
    model = graph([node("Gemm", "x w b", "y")], {"x": [5, 6]}, ["y"], w=normal(6, 3), b=normal(*rows))
    placement = replace(PLAIN, bias="float")
    plan = plan_placement(model.graph, placement)
    assert [one.node for one in plan] == ["y"]
    assert correct_biases(model, plan, placement, {"x": Range(-1, 1), "y": Range(-9, 9)}, [{"x": normal(5, 6)}]) == []


def test_activations_of_one_group_are_gone_before_the_next_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("Conv", "x w", "h"), node("Conv", "h v", "y")]
    model = graph(nodes, {"x": [1, 3, 5, 5]}, ["y"], w=normal(3, 3, 1, 1), v=normal(3, 3, 1, 1, seed=1))
    gone: list[bool] = []

    class Exposed:
        def run(self, feed: Feed) -> Iterator[dict[str, Array]]:
            value = np.ones((1, 3, 5, 5), np.float32)
            seen = weakref.ref(value)
            group = {"h": value}
            del value
            yield group
            del group
            gone.append(seen() is None)

    monkeypatch.setattr(exposing, "expose", lambda *_: contextlib.nullcontext(Exposed()))
    ranges = dict.fromkeys("xhy", Range(-4, 4))
    correct_biases(model, plan_placement(model.graph, PLAIN), PLAIN, ranges, [{"x": normal(1, 3, 5, 5)}] * 2)
    assert gone == [True, True]
