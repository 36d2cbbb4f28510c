"""What is demanded of a candidate before its speed matters."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.fidelity import Comparison, OutputKind
from edgekit.gates import Gates, judge
from edgekit.request import Drop
from edgekit.types import Agreement, Score, SliceValue


def _comparison() -> Comparison:
    comparison = Comparison({"y": OutputKind("argmax")})
    comparison.add({"y": np.float32([[0, 1]])}, {"y": np.float32([[0, 0.9]])})
    return comparison


def _score(value: float, *, higher: bool = True, n: int = 1000, **slices: tuple[float, int]) -> Score:
    return Score("accuracy", value, higher, n, {name: SliceValue(v, k) for name, (v, k) in slices.items()})


def _judge(float_score: Score | None, score: Score | None, agreement: float = 1.0, *, drop: str = "1%", need: float | None = None):
    relative = drop.endswith("%")
    limit = Drop(float(drop.rstrip("%")) / (100 if relative else 1), relative)
    return judge(Gates(limit, need), _comparison(), Agreement(agreement, "predictions", 500), float_score, score)


def test_a_drop_within_the_limit_is_accepted_and_beyond_it_refused() -> None:
    assert _judge(_score(0.90), _score(0.8911)).accepted
    refused = _judge(_score(0.90), _score(0.89))
    assert not refused.accepted
    assert "accuracy 0.9 -> 0.89" in refused.reason


def test_a_percentage_is_relative_and_a_number_is_not() -> None:
    assert _judge(_score(0.50), _score(0.4951)).accepted
    assert not _judge(_score(0.50), _score(0.494)).accepted
    assert _judge(_score(0.50), _score(0.491), drop="0.01").accepted


def test_an_error_metric_may_rise_by_as_much() -> None:
    assert _judge(_score(2.0, higher=False), _score(1.5, higher=False)).accepted
    assert _judge(_score(2.0, higher=False), _score(2.019, higher=False)).accepted
    assert not _judge(_score(2.0, higher=False), _score(2.03, higher=False)).accepted


def test_a_broken_slice_is_refused_by_name_although_the_whole_holds() -> None:
    judged = _judge(_score(0.95, bright=(0.95, 900), dim=(0.95, 100)), _score(0.945, bright=(0.96, 900), dim=(0.80, 100)))
    assert not judged.accepted
    assert "slice 'dim' 0.95 -> 0.8" in judged.reason
    assert "bright" not in judged.reason


def test_a_small_slice_may_fall_by_two_samples_and_says_so() -> None:
    judged = _judge(_score(0.95, few=(1.0, 20)), _score(0.95, few=(0.90, 20)))
    assert judged.accepted
    assert judged.fidelity.slices["few"].resolution_limited
    assert not _judge(_score(0.95, few=(1.0, 20)), _score(0.95, few=(0.85, 20))).accepted


def test_two_samples_mean_nothing_for_a_metric_that_is_not_a_rate() -> None:
    judged = _judge(_score(10.0, higher=False, few=(10.0, 4)), _score(10.0, higher=False, few=(10.4, 4)))
    assert not judged.accepted


def test_a_metric_that_holds_while_agreement_collapses_is_refused_and_flagged() -> None:
    judged = _judge(_score(0.984), _score(0.998), agreement=0.49)
    assert not judged.accepted
    assert judged.fidelity.suspicious is not None
    assert "blind" in judged.fidelity.suspicious


def test_agreement_defaults_depend_on_labels_and_can_be_set() -> None:
    assert _judge(_score(0.9), _score(0.9), agreement=0.96).accepted
    assert not _judge(None, None, agreement=0.96).accepted
    assert _judge(None, None, agreement=0.96, need=0.9).accepted
    assert not _judge(_score(0.9), _score(0.9), agreement=0.96, need=0.99).accepted


def test_a_score_that_is_not_a_number_is_refused() -> None:
    assert not _judge(_score(0.9), _score(float("nan"))).accepted


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_float_beside_itself_always_holds(value: float) -> None:
    assert _judge(_score(value, a=(value, 3)), _score(value, a=(value, 3))).accepted


def test_a_slice_that_vanished_is_refused() -> None:
    judged = _judge(_score(0.95, dim=(0.95, 100), bright=(0.95, 900)), _score(0.95, bright=(0.95, 900)))
    assert not judged.accepted
    assert "slice 'dim'" in judged.reason


def test_a_score_of_something_else_is_refused() -> None:
    for other in (Score("loss", 0.9, False, 1000), _score(0.9, n=3)):
        assert not _judge(_score(0.9), other).accepted


def test_the_resolution_of_a_slice_needs_a_metric_that_counts() -> None:
    error = Score("mae", 0.01, False, 10, {"few": SliceValue(0.01, 10)})
    worse = Score("mae", 0.01, False, 10, {"few": SliceValue(0.19, 10)})
    assert not _judge(error, worse).accepted


def test_broken_outputs_are_refused_whatever_the_metric_says() -> None:
    comparison = Comparison({"y": OutputKind("argmax"), "box": OutputKind("cosine")})
    good = {"y": np.float32([[0, 1]]), "box": np.float32([[1, 2]])}
    comparison.add(good, {**good, "box": np.float32([[np.nan, 2]])})
    judged = judge(Gates(Drop(0.01)), comparison, Agreement(1.0, "predictions", 500), _score(0.9), _score(0.9))
    assert not judged.accepted
    assert "not finite" in judged.reason
    assert judged.fidelity.held_out_agreement == 0


def test_what_cannot_be_compared_is_refused() -> None:
    assert not judge(Gates(Drop(0.01)), Comparison({}), None, None, None).accepted


def test_an_agreement_that_is_not_a_number_is_refused() -> None:
    assert not _judge(None, None, agreement=float("nan")).accepted
