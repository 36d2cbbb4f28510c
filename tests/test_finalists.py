"""Who is evaluated first: what can still win, fastest first; then the others, closest to float first."""

from __future__ import annotations

from dataclasses import replace

from support.searching import Session, built, comparison, setting
from support.verdicts import STATIC

from edgekit.budget import Budget
from edgekit.finalists import CAN_WIN, FLOAT, TOO_SLOW, _closer_refused, _incumbent, _not_evaluated, _rank, _rivals, _taking_turns
from edgekit.profiles import machine_profile
from edgekit.schemes import BFloat16, Float16, Float32, Int8Dynamic, Int8Static, WeightOnly
from edgekit.search import Compared
from edgekit.types import Candidate, Measurement, RunFailure, Site, WarmUp

SITE = Site(machine_profile("x86_64"))


def measured(seconds: float) -> Measurement:
    rounds = tuple((seconds * (1 + 0.001 * i), seconds) for i in range(10))
    return Measurement("agent/1", rounds, WarmUp(3, 0.1, True), 0.1, 0.1, None, "resident", {}, {}, 1)


def compared(**rows: tuple[Candidate, float, float]) -> Compared:
    items = {key: built(None, SITE, candidate) for key, (candidate, _, _) in rows.items()}
    return Compared(items, {key: comparison(noise, agreeing=agreeing) for key, (_, noise, agreeing) in rows.items()}, {})


ROWS = {
    "slow_but_close": (Candidate("a", WeightOnly(8)), 0.0001, 1.0),
    "wrong_and_fast": (Candidate("a", Int8Dynamic("uint8")), 0.5, 0.2),
    "wrong_but_closer": (Candidate("b", Int8Dynamic("uint8")), 0.3, 0.6),
    "right": (Candidate("a", Int8Dynamic()), 0.01, 1.0),
    "right_and_faster": (Candidate("b", Int8Static()), 0.02, 0.99),
    "float_b": (Candidate("b", Float32()), 1e-9, 1.0),
    "float_a": (Candidate("a", Float32()), 1e-12, 1.0),
}
TIMES = {
    "float_a": 0.010, "float_b": 0.006, "right": 0.004, "right_and_faster": 0.003, "slow_but_close": 0.012, "wrong_and_fast": 0.001,
    "wrong_but_closer": 0.001,
}  # fmt: skip


def order(rows: Compared, incumbent: Measurement | None, results: dict[str, Measurement | RunFailure]) -> list[str]:
    return sorted(rows.built, key=lambda key: _rank(setting(Session()), rows, key, incumbent, results))


def test_the_fastest_that_holds_comes_first_and_what_is_wrong_last() -> None:
    rows = compared(**ROWS)
    results: dict[str, Measurement | RunFailure] = {key: measured(seconds) for key, seconds in TIMES.items()}
    incumbent = _incumbent(rows, results)
    assert incumbent is results["float_b"], "the fastest float of all targets is what has to be beaten"
    assert order(rows, incumbent, results) == [
        "float_a", "float_b", "right_and_faster", "right", "slow_but_close", "wrong_but_closer", "wrong_and_fast",
    ]  # fmt: skip


def test_without_measurements_the_closest_comes_first() -> None:
    rows = compared(**ROWS)
    assert order(rows, None, {})[:5] == ["float_a", "float_b", "slow_but_close", "right", "right_and_faster"]


def test_what_failed_while_it_was_measured_cannot_win() -> None:
    rows = compared(
        f=(Candidate("a", Float32()), 1e-12, 1.0),
        x=(Candidate("a", BFloat16()), 0.01, 1.0),
        y=(Candidate("a", Int8Static()), 0.02, 1.0),
    )
    results: dict[str, Measurement | RunFailure] = {
        "f": measured(0.01),
        "x": RunFailure("crash", "signal 11"),
        "y": measured(0.005),
    }
    assert order(rows, measured(0.01), results) == ["f", "y", "x"]


def test_of_two_that_are_as_fast_the_closer_comes_first() -> None:
    rows = compared(
        f=(Candidate("a", Float32()), 1e-12, 1.0),
        far=(Candidate("a", Int8Static()), 0.02, 0.97),
        near=(Candidate("a", BFloat16()), 0.001, 0.99),
    )
    results: dict[str, Measurement | RunFailure] = {"f": measured(0.01), "far": measured(0.00398), "near": measured(0.004)}
    assert order(rows, measured(0.01), results) == ["f", "near", "far"]


def test_a_spent_budget_ends_it_when_the_verdict_cannot_change() -> None:
    spent, ample, free = Budget(0.0), Budget(1e6), Budget(None)
    accepted = {"x": replace(STATIC, accepted=True)}
    assert _not_evaluated({}, 5, CAN_WIN, spent, "") == "", "nothing holds yet, and this may"
    assert "used up" in _not_evaluated({}, 1, TOO_SLOW, spent, "")
    assert "used up" in _not_evaluated(accepted, 1, CAN_WIN, spent, "")
    assert _not_evaluated(accepted, 1, TOO_SLOW, free, "") == ""
    assert "8 finalists" in _not_evaluated({}, 8, CAN_WIN, ample, "")
    assert "5 finalists" in _not_evaluated({}, 5, CAN_WIN, free, "")
    assert _not_evaluated(accepted, 8, FLOAT, spent, "") == "", "what everything is compared with is always evaluated"


def test_what_is_no_closer_than_a_refused_one_is_tried_only_where_there_is_a_budget_for_it() -> None:
    assert "no closer to float than x" in _not_evaluated({}, 1, CAN_WIN, Budget(None), "x")
    assert _not_evaluated({}, 1, CAN_WIN, Budget(1e6), "x") == ""
    assert _not_evaluated({}, 1, TOO_SLOW, Budget(None), "x") == ""


def test_where_outputs_have_no_closeness_one_that_is_refused_says_nothing_of_the_others() -> None:
    rows = compared(x=(Candidate("a", Int8Static()), 0.02, 0.99), y=(Candidate("b", Int8Static()), 0.02, 0.99))
    refused = {"x": replace(STATIC, stage="judged", accepted=False)}
    assert _closer_refused(rows, refused, "y") == "x"
    for found in rows.comparisons.values():
        found.signal = found.noise = found.dot = found.candidate_power = 0.0  # classes are integers
    assert _closer_refused(rows, refused, "y") == ""


def test_where_nothing_has_to_be_beaten_slow_ones_can_win_too() -> None:
    rows = compared(**ROWS)
    results: dict[str, Measurement | RunFailure] = {key: measured(seconds) for key, seconds in TIMES.items()}
    ranks = {key: _rank(setting(Session()), rows, key, None, results)[0] for key in rows.built}
    assert ranks["slow_but_close"] == CAN_WIN
    assert order(rows, None, results)[2:5] == ["right_and_faster", "right", "slow_but_close"]


def test_where_nothing_was_measured_precisions_take_turns() -> None:
    rows = compared(
        float=(Candidate("a", Float32()), 1e-12, 1.0),
        int8_close=(Candidate("a", Int8Static(), keep_float=frozenset("xyz")), 0.001, 1.0),
        int8_less=(Candidate("a", Int8Static(), keep_float=frozenset("x")), 0.002, 1.0),
        int8_wrong=(Candidate("a", Int8Static()), 0.5, 0.2),
        half=(Candidate("a", Float16()), 0.005, 1.0),
    )
    ranks = _taking_turns(rows, {key: _rank(setting(Session()), rows, key, None, {}) for key in rows.built})
    assert sorted(ranks, key=ranks.__getitem__) == ["float", "int8_close", "half", "int8_less", "int8_wrong"]


def test_where_nothing_was_measured_another_precision_does_not_settle_it() -> None:
    rows = compared(half=(Candidate("a", Float16()), 0.005, 1.0))
    accepted = {"x": replace(STATIC, accepted=True)}
    spent = Budget(0.0)
    assert _rivals(accepted, rows.built["half"], {}) == {}
    assert _not_evaluated(_rivals(accepted, rows.built["half"], {}), 5, CAN_WIN, spent, "") == ""
    assert "used up" in _not_evaluated(_rivals(accepted, rows.built["half"], {"x": measured(0.01)}), 5, CAN_WIN, spent, "")
