"""What counts as a state, and what does not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgekit.stateful import notes_on_inputs, state_pairs
from edgekit.types import TensorSpec


def spec(name: str, *shape: int | str, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, dtype, shape)


X, Y = spec("input", 1, 512), spec("output", 1, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [("state", "stateN"), ("h", "hn"), ("h0_in", "h0_out"), ("past_key", "present_key"), ("past.0.key", "present.0.key"),
     ("hidden", "hidden_out"), ("prev_state", "next_state"), ("state_in", "state_out")],
)  # fmt: skip
def test_a_state_is_told_by_form_and_name(before: str, after: str) -> None:
    assert state_pairs([X, spec(before, 2, "n", 128)], [Y, spec(after, 2, 1, 128)]) == {before: after}


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([spec("image", 1, 3, 8, 8)], [spec("image_out", 1, 3, 8, 8)]),  # nothing besides: a filter, not a state
        ([spec("input", 1, 3, 8, 8), spec("mask", 1, 1, 8, 8)], [spec("output", 1, 3, 8, 8), spec("score", 1)]),
        ([spec("input_1", 1, 8), spec("mask", 1, 8)], [spec("output_1", 1, 8), spec("score", 1)]),
        ([X, spec("state", 2, 1, 128)], [Y, spec("stateN", 2, 1, 64)]),
        ([X, spec("state", 2, 1, 128)], [Y, spec("stateN", 2, 1, 128, dtype="float16")]),
        ([X, spec("left", 1, 8)], [Y, spec("right", 1, 8)]),
        ([spec("input", 1, 8), spec("mask", 1, 8)], [spec("output", 1, 8)]),
        ([spec("a", 1, 8), spec("b", 1, 8)], [spec("a", 1, 8), spec("c", 1, 8)]),
    ],
)
def test_what_is_no_state(inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    assert state_pairs(inputs, outputs) == {}


def test_a_state_beside_a_signal_that_keeps_its_form() -> None:
    signal, result = spec("input", 1, 512), spec("output", 1, 512)
    assert state_pairs([signal, spec("h_in", 1, 8)], [result, spec("h_out", 1, 8)]) == {"h_in": "h_out"}
    assert state_pairs([signal, spec("past", 1, 8)], [result, spec("present", 1, 8)]) == {"past": "present"}


def test_two_states_have_one_output_each() -> None:
    pairs = state_pairs([X, spec("h", 1, 8), spec("c", 1, 8)], [Y, spec("hn", 1, 8), spec("cn", 1, 8)])
    assert pairs == {"h": "hn", "c": "cn"}


def test_notes_say_what_limits_the_verdict() -> None:
    model = SimpleNamespace(inputs=(X, spec("state", 2, 1, 128), spec("sr", dtype="int64")), outputs=(Y, spec("stateN", 2, 1, 128)))
    state, setting = notes_on_inputs(model, calibrated=False, evaluated=False)  # type: ignore[arg-type]
    assert "state -> stateN" in state
    assert "sr" in setting
    assert notes_on_inputs(model, calibrated=True, evaluated=True) == ()  # type: ignore[arg-type]
