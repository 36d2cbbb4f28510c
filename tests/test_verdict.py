"""The choice: float stays unless something is surely faster; ties go to what is closer, then smaller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.measure.statistics import summarize
from edgekit.request import LatencyLimit
from edgekit.schemes import Float32, Int8Dynamic, Int8Static, Scheme
from edgekit.types import Candidate, CandidateReport, Fidelity, Measurement, WarmUp
from edgekit.verdict import NOT_TRIED, Choice, choose

RNG = np.random.default_rng(1)


def _measured(median_s: float, spread: float = 0.01) -> Measurement:
    rounds = tuple(tuple(float(x) for x in median_s * np.exp(spread * RNG.standard_normal(20))) for _ in range(12))
    return Measurement("agent/1", rounds, WarmUp(10, 0.1, True), 0.1, median_s, 1, "resident", {}, {}, 1)


def _row(
    scheme: Scheme,
    measured: Measurement | None,
    *,
    accepted: bool = True,
    sqnr: float | None = 30.0,
    size: int = 100,
    why: str = "",
):
    candidate = Candidate("onnx", scheme)
    return CandidateReport(
        id=candidate.id, target="onnx", scheme=scheme.slug, stage="measured" if measured else "judged", accepted=accepted,
        reason=why,
        candidate=candidate, fidelity=Fidelity(sqnr, 0.99, 0.99), size_bytes=size,
        latency_s=summarize(measured.rounds) if measured else None,
    )  # fmt: skip


def _choose(*pairs: tuple[CandidateReport, Measurement | None], **options: object) -> Choice:
    measured = {row.id: m for row, m in pairs if m is not None}
    defaults: dict[str, object] = {"objective": "latency", "explicit_precision": False, "max_latency": None}
    return choose([row for row, _ in pairs], measured, **{**defaults, **options})  # type: ignore[arg-type]


def _pair(scheme: Scheme, median_s: float, **row: object) -> tuple[CandidateReport, Measurement]:
    measured = _measured(median_s)
    return _row(scheme, measured, **row), measured  # type: ignore[arg-type]


def test_a_surely_faster_candidate_replaces_float() -> None:
    choice = _choose(_pair(Float32(), 0.010), _pair(Int8Static(), 0.005))
    assert choice.winner == "onnx/int8"
    assert "2.0" in choice.reason
    assert "onnx/float32" in choice.reason


@pytest.mark.parametrize("median_s", [0.0099, 0.010, 0.013])
def test_float_is_kept_when_nothing_is_surely_faster_and_the_reason_is_said(median_s: float) -> None:
    choice = _choose(_pair(Float32(), 0.010), _pair(Int8Static(), median_s))
    assert choice.winner == "onnx/float32"
    assert "right but not faster" in choice.reason
    kept = next(row for row in choice.rows if row.id == "onnx/int8")
    assert kept.accepted, "it holds the gates; it is only not worth it"
    assert "not faster: " in kept.reason


def test_a_budget_that_left_no_time_to_try_is_not_called_a_lack_of_candidates() -> None:
    row, _ = _pair(Int8Static(), 0.005, accepted=False)
    untried = replace(row, stage="rejected", reason=f"{NOT_TRIED}40% of the budget was used up")
    assert (
        _choose(_pair(Float32(), 0.010), (untried, None)).reason == "onnx/float32 is kept: the budget was too small to try 1 other"
    )
    refused = replace(untried, reason="int8: it does not fit")
    assert "nothing else to try" in _choose(_pair(Float32(), 0.010), (refused, None)).reason


def test_an_uncertain_speed_up_does_not_replace_float() -> None:
    noisy = _measured(0.0093, spread=0.9)
    choice = _choose(_pair(Float32(), 0.010), (_row(Int8Static(), noisy), noisy))
    assert choice.winner == "onnx/float32"


def test_a_wrong_candidate_never_wins_however_fast() -> None:
    choice = _choose(_pair(Float32(), 0.010), _pair(Int8Static(), 0.001, accepted=False, why="accuracy falls"))
    assert choice.winner == "onnx/float32"
    assert "does not hold the gates" in choice.reason


def test_a_tie_goes_to_the_closer_and_then_to_the_smaller() -> None:
    a = _pair(Int8Static(), 0.00500, sqnr=20.0, size=50)
    b = _pair(Int8Dynamic(), 0.00505, sqnr=35.0, size=80)
    assert _choose(_pair(Float32(), 0.010), a, b).winner == "onnx/int8-dynamic"
    c = _pair(Int8Dynamic(), 0.00505, sqnr=20.0, size=40)
    assert _choose(_pair(Float32(), 0.010), a, c).winner == "onnx/int8-dynamic"


def test_an_explicit_precision_wins_even_when_slower() -> None:
    choice = _choose(_pair(Float32(), 0.010), _pair(Int8Static(), 0.020), explicit_precision=True)
    assert choice.winner == "onnx/int8"


def test_an_explicit_precision_that_is_wrong_does_not_fall_back_to_float() -> None:
    choice = _choose(_pair(Float32(), 0.010), _pair(Int8Static(), 0.005, accepted=False, why="wrong"), explicit_precision=True)
    assert choice.winner is None


def test_a_latency_limit_refuses_the_slow_ones_float_included() -> None:
    limit = LatencyLimit(0.007, "p90")
    assert _choose(_pair(Float32(), 0.010), _pair(Int8Static(), 0.005), max_latency=limit).winner == "onnx/int8"
    nothing = _choose(_pair(Float32(), 0.010), _pair(Int8Static(), 0.008), max_latency=limit)
    assert nothing.winner is None
    assert all("over the limit of 7 ms" in row.reason for row in nothing.rows)


def test_size_as_the_objective_takes_the_smallest_that_is_right() -> None:
    wrong = _pair(Int8Dynamic(), 0.001, size=90, accepted=False)
    choice = _choose(_pair(Float32(), 0.010, size=400), _pair(Int8Static(), 0.020, size=100), wrong, objective="size")
    assert choice.winner == "onnx/int8"


def test_without_a_measurement_float_is_kept() -> None:
    choice = _choose((_row(Float32(), None), None), (_row(Int8Static(), None), None))
    assert choice.winner == "onnx/float32"
    assert "nothing is known to be faster" in choice.reason


def test_an_explicit_precision_by_size_is_not_float_either() -> None:
    choice = _choose(
        _pair(Float32(), 0.010, size=100), _pair(Int8Static(), 0.020, size=120), objective="size", explicit_precision=True
    )
    assert choice.winner == "onnx/int8"


def test_every_choice_says_why() -> None:
    explicit = _choose(_pair(Float32(), 0.010), _pair(Int8Static(), 0.020), explicit_precision=True)
    assert "holds" in explicit.reason or "hold" in explicit.reason
    crashed = _row(Int8Static(), None, accepted=False, why="fails when it is run (crash)")
    choice = _choose(_pair(Float32(), 0.010), (replace(crashed, stage="built"), None))
    assert "did not run" in choice.reason


def test_exactly_floats_outputs_win_a_tie() -> None:
    exact, near = _pair(Int8Dynamic(), 0.00505), _pair(Int8Static(), 0.005, sqnr=60.0)
    row = replace(exact[0], fidelity=Fidelity(None, 1.0, 1.0))
    assert _choose(_pair(Float32(), 0.010), (row, exact[1]), near).winner == "onnx/int8-dynamic"


# ---------------------------------------------------------------- energy
FIVE = np.array([1.0, 1.01, 0.99, 1.005, 0.995])


def _frugal(**joules: float) -> dict[str, object]:
    repeats = {f"onnx/{scheme.replace('_', '-')}": list(value * FIVE) for scheme, value in joules.items()}
    return {"objective": "energy", "joules": repeats}


def test_with_the_objective_energy_joules_decide_and_not_seconds() -> None:
    slower = _pair(Int8Static(), 0.020)
    choice = _choose(_pair(Float32(), 0.010), slower, **_frugal(float32=0.4, int8=0.2))
    assert choice.winner == "onnx/int8"
    assert choice.reason.startswith("2.00x the inferences a joule (95 % interval ")
    faster = _pair(Int8Static(), 0.005)
    choice = _choose(_pair(Float32(), 0.010), faster, **_frugal(float32=0.4, int8=0.395))
    assert choice.winner == "onnx/float32"
    assert "1 candidate is right but not more frugal" in choice.reason
    assert "right, but not more frugal: 1.01x the inferences a joule" in choice.rows[1].reason


def test_energy_has_the_same_gates_and_ties() -> None:
    wrong = _pair(Int8Static(), 0.005, accepted=False, why="accuracy falls")
    assert _choose(_pair(Float32(), 0.010), wrong, **_frugal(float32=0.4, int8=0.1)).winner == "onnx/float32"
    near, close = _pair(Int8Static(), 0.005, sqnr=20.0), _pair(Int8Dynamic(), 0.005, sqnr=40.0)
    tied = _choose(_pair(Float32(), 0.010), near, close, **_frugal(float32=0.4, int8=0.2, int8_dynamic=0.204))
    assert tied.winner == "onnx/int8-dynamic"
    assert "as frugal as onnx/int8 within 3 %" in tied.reason
    limit = LatencyLimit(0.006)
    limited = _choose(_pair(Float32(), 0.010), _pair(Int8Static(), 0.008), max_latency=limit, **_frugal(float32=0.4, int8=0.1))
    assert limited.winner is None


def test_what_has_no_joules_is_not_taken_for_frugal() -> None:
    pairs = _pair(Float32(), 0.010), _pair(Int8Static(), 0.005)
    choice = _choose(*pairs, **_frugal(float32=0.4))
    assert choice.winner == "onnx/float32"
    assert "its energy or that of onnx/float32 was not measured" in choice.rows[1].reason
    assert _choose(*pairs, **_frugal(int8=0.1)).winner == "onnx/float32"
    nothing = _choose(*pairs, objective="energy")
    assert (nothing.winner, nothing.reason) == (
        "onnx/float32", "float is kept: without a measurement nothing is known to be more frugal",
    )  # fmt: skip
    alone = _choose(pairs[1], explicit_precision=True, **_frugal(int8=0.1))
    assert alone.reason.startswith("the most frugal of 1 that hold every gate")
