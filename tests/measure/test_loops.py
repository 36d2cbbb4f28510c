"""Times by different loops are not compared without a word."""

from __future__ import annotations

from edgekit.measure.loops import loops_remark


def test_one_loop_needs_no_word() -> None:
    assert loops_remark({}) == ()
    assert loops_remark({"onnx/float32": "agent/1", "onnx/int8": "agent/1"}) == ()
    assert loops_remark({"tensorrt/float32": "trtexec 10.3", "tensorrt/int8": "trtexec 10.3"}) == ()


def test_a_loop_without_the_hosts_part_gives_an_upper_bound() -> None:
    [said] = loops_remark({"onnx/float32": "agent/1", "tensorrt/float16": "trtexec 10.3", "tensorrt/int8": "trtexec 10.3"})
    assert "without the host's part of an inference: tensorrt/float16, tensorrt/int8 by trtexec 10.3" in said
    assert "with it: onnx/float32 by agent/1" in said
    assert said.endswith("A speed-up of the former over the latter is an upper bound")


def test_two_loops_of_runners_are_not_ranked() -> None:
    [said] = loops_remark({"a/x": "trtexec 10.3", "b/y": "other 1"})
    assert "upper bound" not in said
    assert "a/x by trtexec 10.3; b/y by other 1" in said
