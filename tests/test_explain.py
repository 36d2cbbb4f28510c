"""The sentence about a refused candidate: operators, slices, what it would have gained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.reports import STATIC, row

from edgekit.explain import explain, what_broke, what_it_shows_in, what_it_would_have_gained
from edgekit.types import Agreement, CandidateReport, Fidelity, Ratio, SliceVerdict

GAIN = Ratio(1.8, (1.7, 1.9))


def refused(slices: dict[str, SliceVerdict] | None = None, **fields: Any) -> CandidateReport:
    fidelity = Fidelity(9.0, 0.9, 0.91, "accuracy", 0.95, 0.95, True, 500, slices or {})
    return replace(row(STATIC, accepted=False), **({"fidelity": fidelity} | fields))


def fallen(value: float, value_float: float) -> SliceVerdict:
    return SliceVerdict(value, 40, value_float, value_float - value, 0.01, accepted=False, resolution_limited=False)


def test_the_whole_sentence() -> None:
    damage = {"conv_7": 0.06, "conv_3": 0.41, "conv_0": 0.22, "conv_1": 0.15, "conv_2": 0.16}
    found = explain(refused({"dark": fallen(0.74, 0.91)}), damage, GAIN)
    assert found == (
        "what broke: conv_3 (41 %), conv_0 (22 %), conv_2 (16 %) and 2 others (21 %); slice 'dark' 0.910 -> 0.740. "
        "It would have gained 1.80x."
    )


def test_damage_that_is_spread_names_no_culprit() -> None:
    found = what_broke({f"conv_{index}": 0.02 for index in range(50)})
    assert found == "what broke: no operator alone; the error comes from 50, conv_0 the most (2 %)"


def test_small_shares_are_others_and_order_is_the_same_each_time() -> None:
    assert what_broke({"b": 0.48, "a": 0.48, "c": 0.04}) == "what broke: a (48 %), b (48 %) and 1 other (4 %)"
    assert what_broke({"a": 0.997, "b": 0.003, "c": 0.0}) == "what broke: a (100 %) and 1 other (under 1 %)"


@pytest.mark.parametrize("damage", [{}, {"a": 0.0}])
def test_without_a_table_the_rows_own_reason_is_given(damage: dict[str, float]) -> None:
    bare = refused(fidelity=None, agreement=None, reason="crashes\x1b[2J")
    assert explain(bare, damage, None) == "what broke: crashes\ufffd[2J."
    assert explain(replace(bare, reason=""), damage, None) == "what broke: not known."


def test_the_worst_slices_come_first_and_those_that_hold_are_left_out() -> None:
    holds = replace(fallen(0.80, 0.95), accepted=True)
    slices = {"a": fallen(0.90, 0.95), "b": holds, "c": fallen(0.50, 0.95), "d": fallen(0.94, 0.97)}
    assert what_it_shows_in(refused(slices)) == "slice 'c' 0.950 -> 0.500, slice 'a' 0.950 -> 0.900 and 1 more"


def test_without_slices_it_is_the_metric_and_then_the_agreement() -> None:
    fell = Fidelity(9.0, 0.9, 0.91, "accuracy", 0.80, 0.95, True, 500)
    rose = replace(fell, metric=0.97)
    error = replace(fell, metric_name="pixels", metric=2.5, metric_float=1.5, higher_is_better=False)
    assert what_it_shows_in(refused(fidelity=fell)) == "accuracy 0.950 -> 0.800"
    assert what_it_shows_in(refused(fidelity=error)) == "pixels 1.500 -> 2.500"
    assert what_it_shows_in(refused(fidelity=rose, agreement=Agreement(0.49, "iou", 60))) == "agreement with float 0.490"
    assert what_it_shows_in(refused(agreement=Agreement(1.0, "iou", 60))) == ""
    assert what_it_shows_in(refused(fidelity=None)) == ""


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, ""),
        (GAIN, "It would have gained 1.80x"),
        (Ratio(1.01, (0.98, 1.04)), "It would have gained nothing: it is as fast as float"),
        (Ratio(0.7, (0.6, 0.8)), "It would have gained nothing: 0.70x the speed of float"),
    ],
)
def test_what_it_would_have_gained(ratio: Ratio | None, text: str) -> None:
    assert what_it_would_have_gained(ratio) == text


def test_names_are_printed_on_one_line() -> None:
    assert what_broke({"a\nb\x1b": 1.0}) == "what broke: a b\ufffd (100 %)"
