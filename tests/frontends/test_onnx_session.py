from __future__ import annotations

import time

import numpy as np
import onnx
import pytest
from support.onnx_graphs import FLOAT, linear, model, node, value

from edgekit.errors import ModelError
from edgekit.frontends.onnx_session import newest_ir_version, quiet_session, run, trial_feeds, trial_runs
from edgekit.types import TensorSpec

INPUTS = (TensorSpec("x", "float32", ("n", 3, "h", "w")), TensorSpec("ids", "int64", ("n", "h")), TensorSpec("on", "bool", ()))


def _endless() -> onnx.ModelProto:
    integer, boolean = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    body = onnx.helper.make_graph(
        [node("Identity", ["on"], ["on_out"]), node("Add", ["a", "a"], ["a_out"])],
        "body",
        [value("i", integer, []), value("on", boolean, []), value("a", FLOAT, [1, 4])],
        [value("on_out", boolean, []), value("a_out", FLOAT, [1, 4])],
    )
    nodes = [node("Loop", ["times", "", "x"], ["y"], body=body)]
    return model(nodes, [value("x", FLOAT, [1, 4])], [value("y", FLOAT, [1, 4])], {"times": np.array(1 << 60)}, opset=11)


def test_equal_names_get_equal_sizes_and_the_first_axis_is_the_batch() -> None:
    feeds = list(trial_feeds(INPUTS))
    assert len({feed["x"].shape for feed in feeds}) > 5
    for feed in feeds[:2]:
        batch, channels, height, _ = feed["x"].shape
        assert (batch, channels) == (feed["ids"].shape[0], 3)
        assert feed["ids"].shape[1] == height
        assert {name: str(array.dtype) for name, array in feed.items()} == {"x": "float32", "ids": "int64", "on": "bool"}
    assert [feed["x"].shape[0] for feed in feeds[:2]] == [1, 2]
    assert not feeds[0]["ids"].any()
    assert feeds[1]["ids"].any()


def test_trial_feeds_are_the_same_every_time() -> None:
    for one, two in zip(trial_feeds(INPUTS), trial_feeds(INPUTS), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])


def test_a_static_model_gets_two_feeds_of_its_shape() -> None:
    shapes = [feed["x"].shape for feed in trial_feeds((TensorSpec("x", "float32", (1, 8)),))]
    assert shapes == [(1, 8), (1, 8)]


def test_feeds_that_do_not_suit_are_passed_over() -> None:
    failures: list[ModelError] = []
    specs = (TensorSpec("x", "float32", ("n", "size")),)
    suited = [feed["x"].shape[1] for feed, _ in trial_runs(quiet_session(linear()), specs, failures)]
    assert suited == [16]
    assert failures
    assert all("x [" in failure.what for failure in failures)


def test_a_run_that_does_not_end_is_stopped() -> None:
    started_s = time.monotonic()
    with pytest.raises(ModelError, match=r"takes over 0\.3 s"):
        run(quiet_session(_endless()), {"x": np.ones((1, 4), np.float32)}, limit_s=0.3)
    assert time.monotonic() - started_s < 20


def test_newest_ir_version_is_the_newest() -> None:
    newest = newest_ir_version()
    quiet_session(linear(ir=newest))
    with pytest.raises(ModelError):
        quiet_session(linear(ir=newest + 1))


def test_the_reason_is_one_plain_line() -> None:
    proto = linear()
    proto.graph.node[0].input[1] = "missing"
    with pytest.raises(ModelError) as caught:
        quiet_session(proto)
    assert "missing" in caught.value.why
    assert "onnxruntime_src" not in caught.value.why
    assert "\n" not in caught.value.why
