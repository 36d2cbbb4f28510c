"""Finding the few operators that do the damage among many."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.quantize.damage import contributions


class Additive:
    """Errors that simply add up, and how often they were asked for."""

    def __init__(self, errors: dict[str, float]) -> None:
        self.errors = errors
        self.asked = 0

    def __call__(self, nodes: Sequence[str]) -> float:
        self.asked += 1
        return sum(self.errors[node] for node in nodes)


def test_heavy_operators_are_found_among_three_thousand_in_a_few_dozen_runs() -> None:
    truth = {f"n{index}": 1e-7 for index in range(3000)} | {"n17": 0.3, "n900": 0.2, "n2999": 0.1}
    own = dict.fromkeys(truth, 0.01)  # no hint at all
    error_of = Additive(truth)
    found = contributions(own, error_of, seconds=60)
    assert [item.node for item in found[:3]] == ["n17", "n900", "n2999"]
    assert all(item.alone for item in found[:3])
    assert [item.error for item in found[:3]] == pytest.approx([0.3, 0.2, 0.1], rel=1e-2)
    assert error_of.asked < 120


def test_what_makes_a_large_error_of_its_own_is_looked_at_first() -> None:
    truth = {f"n{index}": 0.0 for index in range(100)} | {"n50": 1.0}
    own = dict.fromkeys(truth, 0.001) | {"n50": 0.5}
    found = contributions(own, Additive(truth), seconds=0)
    assert found[0].node == "n50"
    assert found[0].alone


def test_without_time_groups_are_shared_out_by_their_own_errors() -> None:
    truth = {f"n{index:02d}": 1.0 for index in range(20)}
    own = {node: 20.0 - index for index, node in enumerate(truth)}
    found = contributions(own, Additive(truth), seconds=0)
    assert {item.node for item in found} == set(truth)
    assert sum(item.error for item in found) == pytest.approx(20.0)
    of = {item.node: item for item in found}
    assert not of["n08"].alone
    assert of["n08"].error / of["n09"].error == pytest.approx(12 / 11)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0, 10))
def test_every_operator_is_there_once_and_the_sum_is_kept(errors: list[float], seconds: float) -> None:
    truth = {f"n{index}": error for index, error in enumerate(errors)}
    found = contributions(dict(truth), Additive(truth), seconds=seconds)
    assert sorted(item.node for item in found) == sorted(truth)
    assert sum(item.error for item in found) == pytest.approx(sum(errors))
    assert [item.error for item in found] == sorted((item.error for item in found), reverse=True)


def test_an_infinite_error_ends_in_a_ranking_all_the_same() -> None:
    truth = {"a": 1.0, "b": float("inf"), "c": 2.0}
    found = contributions({"a": 1.0, "b": 1.0, "c": 1.0}, Additive(truth), seconds=1)
    assert found[0].node == "b"


def test_errors_of_their_own_that_are_infinite_share_out_alike() -> None:
    truth = {f"n{index:02d}": 1.0 for index in range(16)}
    found = contributions(dict.fromkeys(truth, float("inf")), Additive(truth), seconds=0)
    assert [item.error for item in found] == [1.0] * 16


def test_groups_are_split_down_to_what_matters() -> None:
    truth = {f"n{index:02d}": 0.0 for index in range(40)} | {"n00": 1.0, "n33": 0.005}
    own = dict.fromkeys(truth, 0.001) | {"n00": 0.5}
    rough = {item.node: item for item in contributions(own, Additive(truth), seconds=60)}
    fine = {item.node: item for item in contributions(own, Additive(truth), seconds=60, matters=0.001)}
    assert not rough["n33"].alone, "less than a hundredth of all"
    assert fine["n33"].alone
    assert fine["n33"].error == pytest.approx(0.005)
