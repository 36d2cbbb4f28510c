from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pytest

from edgekit.measure.sustain import MAX_BUCKETS, MIN_CYCLES, compare_over_time, first_and_last_s
from edgekit.types import Conditions, Reading, RunFailure, Sustained, SustainReport, Turn, Zone

FLOAT, INT8, BF16 = "onnx/float32", "onnx/int8", "onnx/bfloat16"


def run(
    latency_s: Callable[[float], float],
    *,
    elapsed_s: float = 600.0,
    turn_s: float = 2.0,
    clock_hz: Callable[[float], float] = lambda at: 2.4e9,
) -> Sustained:
    """A candidate whose latency depends on the time since the start, with 1 % of noise."""
    random = np.random.default_rng(3)
    turns, readings = [], []
    for cycle, at in enumerate(np.arange(0, elapsed_s, turn_s)):
        samples = tuple(float(value) for value in latency_s(at) * random.lognormal(0, 0.01, 20))
        turns.append(Turn(cycle, float(at), 400, samples))
        readings.append(Reading(turn_s, clocks_hz=(clock_hz(at),), temperatures_c=(40 + at / 20, None)))
    conditions = Conditions((1,), 4, 0.01, "schedutil", (Zone("cpu"), Zone("gpu")), tuple(readings))
    return Sustained(tuple(turns), elapsed_s, conditions)


def steady(latency_s: float) -> Callable[[float], float]:
    return lambda at: latency_s


def slows(cool_s: float, hot_s: float, after_s: float = 200.0) -> Callable[[float], float]:
    return lambda at: cool_s if at < after_s else hot_s


def compared(winner: str | None, rivals: Collection[str] = (FLOAT, INT8, BF16), **results: Sustained | RunFailure) -> SustainReport:
    named = {"float": FLOAT, "int8": INT8, "bf16": BF16}
    return compare_over_time(
        {named[key]: value for key, value in results.items()}, 600.0, winner=winner, rivals=rivals, floats={FLOAT}, faster=1.03
    )


def test_a_winner_that_stays_ahead() -> None:
    report = compared(INT8, float=run(slows(0.002, 0.004)), int8=run(slows(0.001, 0.002)))
    assert report.would_change is False
    assert "still the choice" in report.reason
    assert report.ranking_first == report.ranking_last == (INT8, FLOAT)
    row = report.rows[0]
    assert row.first is not None
    assert row.last is not None
    assert row.first.p50 == pytest.approx(0.002, rel=0.01)
    assert row.last.p50 == pytest.approx(0.004, rel=0.01)


def test_a_winner_that_another_overtakes_when_hot() -> None:
    report = compared(INT8, float=run(steady(0.003)), int8=run(slows(0.001, 0.002)), bf16=run(steady(0.0011)))
    assert report.would_change is True
    assert report.reason.startswith(f"in the last quarter {BF16} is 1.8")
    assert report.ranking_first == (INT8, BF16, FLOAT)
    assert report.ranking_last == (BF16, INT8, FLOAT)


def test_a_winner_that_gains_too_little_over_float_when_hot() -> None:
    report = compared(INT8, float=run(slows(0.002, 0.00202)), int8=run(slows(0.001, 0.002)))
    assert report.would_change is True
    assert "too little to replace it" in report.reason


def test_float_that_was_kept_and_is_overtaken() -> None:
    report = compared(FLOAT, float=run(slows(0.001, 0.002)), int8=run(steady(0.001)))
    assert report.would_change is True
    assert f"{INT8} is 2.0" in report.reason


def test_who_could_not_be_chosen_changes_no_verdict() -> None:
    """Float beside an int8 that was asked for, or one over a limit: it is shown, and judges nothing."""
    report = compared(INT8, rivals=[INT8], float=run(steady(0.001)), int8=run(slows(0.001, 0.002)))
    assert report.would_change is False
    assert report.reason == f"nothing else ran that could replace {INT8}"
    assert report.ranking_last == (FLOAT, INT8)


def test_a_tie_is_no_other_verdict() -> None:
    assert compared(INT8, int8=run(steady(0.001)), bf16=run(steady(0.00099))).would_change is False


def test_what_fails_or_has_no_verdict() -> None:
    lost = compared(INT8, float=run(steady(0.002)), int8=RunFailure("crash", "it ended"))
    assert lost.would_change is True
    assert "did not last" in lost.reason
    assert lost.rows[1].failure == "crash: it ended"
    assert lost.ranking_last == (FLOAT,)
    assert compared(None, float=run(steady(0.002))).would_change is None
    nothing = compared(INT8, int8=RunFailure("timeout", "slow"))
    assert nothing.elapsed_s == 0
    assert nothing.ranking_first == ()


def test_a_run_that_is_too_short_says_nothing_of_the_verdict() -> None:
    few = {"elapsed_s": 4.0 * (MIN_CYCLES - 1), "turn_s": 1.0}
    report = compared(INT8, float=run(steady(0.002), **few), int8=run(steady(0.001), **few))
    assert report.would_change is None
    assert "longer" in report.reason


def test_buckets_cover_the_run_with_clock_and_temperature() -> None:
    falling = run(steady(0.001), clock_hz=lambda at: 2.4e9 if at < 300 else 1.8e9)
    row = compared(None, float=falling).rows[0]
    assert len(row.buckets) == MAX_BUCKETS
    assert sum(bucket.n for bucket in row.buckets) == 400 * len(falling.turns)
    assert (row.buckets[0].clock_hz, row.buckets[-1].clock_hz) == (2.4e9, 1.8e9)
    assert row.buckets[0].temperature_c == pytest.approx(40.4)
    assert row.buckets[-1].temperature_c == pytest.approx(69.9)
    assert "fell from 2.40 to 1.80 GHz" in row.held_down


def test_the_two_stretches() -> None:
    assert first_and_last_s(600) == (60, 150)
    assert first_and_last_s(40) == (10, 10)
