from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import DataError, ModelError
from edgekit.quantize import exposing
from edgekit.quantize.calibration import collect, collecting
from edgekit.quantize.exposing import group
from edgekit.types import Array

TENSORS = ("x", "hidden", "active", "y")


def small_model(width: int = 16) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal((8, width)).astype(np.float32), "w"),
        numpy_helper.from_array(random.standard_normal((width, 4)).astype(np.float32), "v"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "v"], ["y"]),
    ]
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [make("x", TensorProto.FLOAT, ["n", 8])], [make("y", TensorProto.FLOAT, ["n", 4])], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def feeds(n: int, rows: int = 3) -> Iterator[dict[str, Array]]:
    for seed in range(n):
        yield {"x": np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32)}


def expected_values(model: onnx.ModelProto, n: int) -> dict[str, Array]:
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    x = np.concatenate([feed["x"] for feed in feeds(n)])
    hidden = x @ weights["w"]
    active = np.maximum(hidden, 0)
    return {"x": x, "hidden": hidden, "active": active, "y": active @ weights["v"]}


@pytest.mark.parametrize("max_bytes", [exposing.MAX_OUTPUT_BYTES, 1])
def test_statistics_of_every_tensor(max_bytes: int) -> None:
    model = small_model()
    before = model.SerializeToString(deterministic=True)
    found = collect(model, TENSORS, feeds(7), per_channel={"hidden": -1}, max_bytes=max_bytes)
    assert model.SerializeToString(deterministic=True) == before
    assert found.n_feeds == 7
    for name, values in expected_values(model, 7).items():
        tensor = found.tensors[name]
        assert tensor.count == values.size
        assert tensor.minimum == pytest.approx(values.min(), rel=1e-5, abs=1e-6)
        assert tensor.maximum == pytest.approx(values.max(), rel=1e-5)
        assert tensor.sum == pytest.approx(values.astype(np.float64).sum(), rel=1e-4, abs=1e-4)
    channels = found.tensors["hidden"].channel_maximum
    assert channels is not None
    np.testing.assert_allclose(channels, expected_values(model, 7)["hidden"].max(axis=0), rtol=1e-5)
    assert found.tensors["y"].channel_maximum is None
    assert found.halves[0]["x"].count + found.halves[1]["x"].count == found.tensors["x"].count


def test_weights_in_a_mapped_file(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(width=512)
    inline = collect(model, TENSORS, feeds(3)).tensors
    monkeypatch.setattr(exposing, "_INLINE_BYTES", 0)
    mapped = collect(model, TENSORS, feeds(3)).tensors
    for name in TENSORS:
        np.testing.assert_array_equal(mapped[name].histogram.counts, inline[name].histogram.counts)


def test_going_on_is_as_one_pass() -> None:
    model = small_model()
    whole = collect(model, TENSORS, feeds(9)).tensors
    with collecting(model, TENSORS) as collector:
        for feed in list(feeds(9))[:5]:
            collector.take(feed)
        first = collector.freeze()
    with collecting(model, TENSORS, start=first) as collector:
        for feed in list(feeds(9))[collector.n_feeds :]:
            collector.take(feed)
        both = collector.freeze().tensors
    for name, tensor in whole.items():
        assert both[name].sum == tensor.sum
        np.testing.assert_array_equal(both[name].histogram.counts, tensor.histogram.counts)


def test_shapes_may_differ_from_feed_to_feed() -> None:
    mixed = [next(feeds(1, rows)) for rows in (1, 5, 2)]
    assert collect(small_model(), TENSORS, mixed).tensors["x"].count == 8 * 8


@pytest.mark.parametrize("name", ["nothing", "w", ""])
def test_what_is_no_activation_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="computes no tensor"):
        collect(small_model(), ["hidden", name], feeds(1))


def test_a_feed_that_does_not_fit() -> None:
    with pytest.raises(DataError, match=r"calibrated on x \[2, 9\]"):
        collect(small_model(), TENSORS, [{"x": np.zeros((2, 9), np.float32)}])


def test_groups() -> None:
    assert group({"a": 3, "b": 3, "c": 9, "d": 1}, 6) == [("a", "b"), ("c",), ("d",)]
    assert group({}, 6) == []


MEMORY = """
import sys
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from edgekit.agent.memory import process_bytes
from edgekit.quantize.calibration import collect

random = np.random.default_rng(0)
nodes, weights, names = [], [], ["x"]
for i in range(6):
    weights.append(numpy_helper.from_array(random.standard_normal((8, 8 if i else 3, 3, 3)).astype(np.float32) * 0.1, f"w{i}"))
    nodes.append(helper.make_node("Conv", [names[-1], f"w{i}"], [f"t{i}"], pads=[1] * 4))
    names.append(f"t{i}")
make = helper.make_tensor_value_info
inputs, outputs = [make("x", TensorProto.FLOAT, [1, 3, 128, 128])], [make("t5", TensorProto.FLOAT, None)]
graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
feeds = ({"x": random.standard_normal((1, 3, 128, 128)).astype(np.float32)} for _ in range(int(sys.argv[1])))
collect(model, names, feeds)
print(process_bytes()['peak'])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data() -> None:
    def peak(n: int) -> int:
        done = subprocess.run([sys.executable, "-c", MEMORY, str(n)], capture_output=True, text=True, check=True, env=os.environ)
        return int(done.stdout)

    assert peak(300) <= 1.1 * peak(30)


def test_sizes_follow_the_shapes_of_the_feed() -> None:
    model = small_model()
    shapes = (("x", (5, 8)),)
    sizes = exposing.tensor_bytes(model, shapes, ["hidden", "y"])
    assert sizes == {"hidden": 5 * 16 * 4, "y": 5 * 4 * 4}
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    assert exposing.tensor_bytes(model, (), ["hidden"]) == {"hidden": exposing._UNKNOWN_BYTES}
