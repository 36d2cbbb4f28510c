"""Whether an artifact holds the gates: edgekit's own on the evaluation set, with room for chance on the third."""

from __future__ import annotations

import pytest
from support.bench import holding

from edgekit.fidelity import Comparison
from edgekit.types import Agreement, Score, SliceValue

NONE = Comparison({})
CASES = [(0.94, "predictions", True), (0.9, "predictions", False), (0.94, "iou", False)]


def score(wrong: int, n: int = 500, *, slices: dict[str, SliceValue] | None = None) -> Score:
    values = tuple(float(index >= wrong) for index in range(n))
    return Score("accuracy", sum(values) / n, True, n, slices or {}, None, values)


def agreement(value: float, n: int = 500, kind: str = "predictions") -> Agreement:
    return Agreement(value, kind, n)  # type: ignore[arg-type]


def test_a_small_drop_holds_without_a_word() -> None:
    found = holding.on_third(score(10), score(13), agreement(0.98), NONE)
    assert (found.holds, found.reason) == (True, "")
    assert found.drop_ci95 is not None
    assert found.drop_ci95[0] < 0.006 < found.drop_ci95[1]


def test_a_drop_within_the_interval_holds_and_says_so() -> None:
    found = holding.on_third(score(10), score(18), agreement(0.98), NONE)  # 1.6 points, [0.5, 2.7]
    assert found.holds
    assert found.reason.startswith("within the interval: accuracy falls by 0.0160")


def test_a_drop_beyond_the_interval_does_not_hold() -> None:
    found = holding.on_third(score(10), score(60), agreement(0.98), NONE)
    assert not found.holds
    assert found.reason == "accuracy falls by 0.1000, more than 0.0098"


def test_without_values_a_sample_there_is_no_interval_to_reach() -> None:
    bare = [Score("F1", value, True, 500) for value in (0.98, 0.96)]
    found = holding.on_third(bare[0], bare[1], agreement(1.0), NONE)
    assert (found.holds, found.drop_ci95) == (False, None)


@pytest.mark.parametrize(("value", "kind", "holds"), CASES)
def test_agreement_may_miss_its_gate_by_chance_only_where_it_is_counted(value: float, kind: str, holds: bool) -> None:
    found = holding.on_third(score(10), score(10), agreement(value, kind=kind), NONE)
    assert found.holds is holds
    assert f"agreement {value:.3f} is below 0.95" in found.reason


def test_outputs_that_are_not_numbers_do_not_hold() -> None:
    broken = Comparison({}, noise=float("inf"))
    assert not holding.on_third(score(10), score(10), agreement(1.0), broken).holds


def test_a_loss_where_lower_is_better_is_a_rise() -> None:
    errors = [Score("error", sum(values) / 4, False, 4, {}, None, values) for values in ((1.0, 1, 1, 1), (2.0, 2, 2, 2.5))]
    low, high = holding.drop_interval(*errors) or (0.0, 0.0)
    assert 0 < low < 1.125 < high


def test_the_evaluation_set_has_the_gates_of_a_deploy_with_slices() -> None:
    slices = [{"dark": SliceValue(value, 300)} for value in (1.0, 0.5)]
    found = holding.on_evaluation(score(10, slices=slices[0]), score(10, slices=slices[1]), agreement(1.0), NONE)
    assert not found.holds
    assert "slice 'dark'" in found.reason


def test_the_score_interval_of_a_proportion() -> None:
    low, high = holding.wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert holding.wilson_interval(0, 10)[0] == pytest.approx(0.0)
    assert holding.wilson_interval(10, 10)[1] == pytest.approx(1.0)
