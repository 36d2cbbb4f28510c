"""A change of a build is kept only if the error on held-out data falls; everything that was tried is a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from support.searching import Session, built, comparison, setting

from edgekit import refinement
from edgekit.budget import Budget
from edgekit.building import Built
from edgekit.chance import is_no_chance
from edgekit.errors import DataError, ModelError
from edgekit.fidelity import Comparison, OutputKind
from edgekit.profiles import machine_profile
from edgekit.refinement import Workshop, build_and_compare, refine_all
from edgekit.schemes import Float32, Int8Static, Scalar
from edgekit.search import Compared
from edgekit.types import Candidate, Reject, RunFailure, Site

SITE = Site(machine_profile("x86_64"))
BASE = Candidate("fake", Int8Static())
SIBLING = Candidate("fake", Int8Static(), run_options={"streams": 2})
NOISE: dict[str, float] = {"": 0.1, "a": 0.01, "b": 0.05, "c": 0.001, "same": 0.0099}  # by the change that was made last


class Target:
    name = "fake"
    version = "1"
    supports_keep_float = False

    def __init__(self, changes: Sequence[Mapping[str, Scalar]]) -> None:
        self.changes = changes

    def refinements(self, model: Any, candidate: Candidate, site: Site) -> Sequence[Mapping[str, Scalar]]:
        return self.changes if candidate.scheme == Int8Static() else ()

    def candidates(self, model: Any, site: Site) -> Sequence[Candidate]:
        return [Candidate(self.name, Float32()), BASE]

    def reject(self, model: Any, candidate: Candidate, site: Site) -> Reject | None:
        return Reject("refused", "by rule") if candidate.build_options.get("refused") else None

    def build_key(self, site: Site) -> dict[str, str]:
        return {}

    def build(self, *arguments: Any) -> Any:
        raise AssertionError("the tests build without it")

    def runner(self, *arguments: Any) -> Any:
        raise AssertionError("the tests run without it")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    def fake_build(model: Any, planned: Any, data: Any, *, threads: int) -> Built:
        if "unbuildable" in planned.candidate.build_options:
            raise ModelError("no")
        if "full" in planned.candidate.build_options:
            raise DataError("of nobody's")
        return built(planned.target, planned.site, planned.candidate)

    def fake_compare(_: Any, __: Any, item: Built) -> Any:
        options = item.planned.candidate.build_options
        if "crash" in options:
            return RunFailure("crash", "signal 11")
        return comparison(NOISE[list(options)[-1] if options else ""])

    monkeypatch.setattr(refinement, "build", fake_build)
    monkeypatch.setattr(refinement, "compare_one", fake_compare)
    return Session()


class View:
    synthetic = False


def run(
    session: Session, *changes: Mapping[str, Scalar], siblings: Sequence[Candidate] = (), budget: Budget | None = None
) -> Compared:
    target = Target(changes)
    items = [built(target, SITE, candidate) for candidate in (BASE, *siblings)]
    compared = Compared({item.id: item for item in items}, {item.id: comparison(NOISE[""]) for item in items}, {})
    workshop = Workshop(setting(session), View(), None, None, 1)  # type: ignore[arg-type]
    refine_all(workshop, compared, budget or Budget(1e6))
    return compared


def options_of(compared: Compared) -> list[dict[str, Scalar]]:
    return [item.planned.candidate.build_options for item in compared.built.values()]


def test_changes_that_help_are_put_on_top_of_each_other(session: Session) -> None:
    compared = run(session, {"a": 1}, {"c": 1})
    assert options_of(compared) == [{}, {"a": 1, "c": 1}]
    (row,) = compared.refused.values()
    assert row.candidate.build_options == {"a": 1}
    assert "is closer to float" in row.reason


def test_a_change_that_does_not_help_is_left_out_of_what_follows_and_says_by_how_much(session: Session) -> None:
    compared = run(session, {"a": 1}, {"b": 1}, {"c": 1})
    assert options_of(compared) == [{}, {"a": 1, "c": 1}]
    row = next(row for row in compared.refused.values() if "no better" in row.reason)
    assert row.candidate.build_options == {"a": 1, "b": 1}
    assert "SQNR 13.0 dB against 20.0 dB" in row.reason
    assert not row.accepted
    assert row.id in session.closed
    assert row.fidelity is not None
    assert row.id not in compared.comparisons


def test_masks_are_refined_by_how_few_differ(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def masks(turned: int) -> Comparison:
        found = Comparison({"y": OutputKind("argmax")})
        for _ in range(4):
            found.add({"y": np.zeros((1, 100), np.int64)}, {"y": np.arange(100)[None] < turned})
        return found

    turned = {"a": 5, "b": 12}
    monkeypatch.setattr(
        refinement, "compare_one", lambda _, __, item: masks(turned[list(item.planned.candidate.build_options)[-1]])
    )
    item = built(Target([{"a": 1}, {"b": 1}]), SITE, BASE)
    compared = Compared({item.id: item}, {item.id: masks(20)}, {})
    refine_all(Workshop(setting(session), View(), None, None, 1), compared, Budget(1e6))  # type: ignore[arg-type]
    assert options_of(compared) == [{}, {"a": 1}]
    (row,) = compared.refused.values()
    assert row.reason.endswith("agreement 0.880 against 0.950")


def test_a_tie_keeps_the_simpler_build(session: Session) -> None:
    assert options_of(run(session, {"a": 1}, {"same": 1})) == [{}, {"a": 1}]


@pytest.mark.parametrize("change", [{"unbuildable": 1}, {"crash": 1}, {"refused": 1}])
def test_what_fails_is_a_row_and_not_the_end(session: Session, change: dict[str, Scalar]) -> None:
    compared = run(session, change, {"a": 1})
    assert options_of(compared) == [{}, {"a": 1}]
    (row,) = compared.refused.values()
    assert row.candidate.build_options == change
    assert row.reason


def test_what_is_no_candidates_fault_ends_the_search(session: Session) -> None:
    with pytest.raises(DataError):
        run(session, {"full": 1})


def test_run_options_of_a_sibling_are_tried_on_the_refined_build(session: Session) -> None:
    compared = run(session, {"a": 1}, siblings=[SIBLING])
    found = [(item.planned.candidate.build_options, item.planned.candidate.run_options) for item in compared.built.values()]
    assert found == [({}, {}), ({}, {"streams": 2}), ({"a": 1}, {}), ({"a": 1}, {"streams": 2})]


def test_nothing_is_tried_when_the_budget_is_spent(session: Session) -> None:
    budget = Budget(0.0)
    assert options_of(run(session, {"a": 1}, budget=budget)) == [{}]


def test_what_was_found_before_the_time_was_up_is_put_to_use(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    class TimeForOne:
        looks = 0

        @property
        def is_over(self) -> bool:
            self.looks += 1
            return self.looks > 1

    monkeypatch.setattr(refinement, "Allowance", lambda *_: TimeForOne())
    target = Target([{"a": 1}, {"c": 1}])
    items = [built(target, SITE, candidate) for candidate in (BASE, SIBLING)]
    compared = Compared({item.id: item for item in items}, {item.id: comparison(NOISE[""]) for item in items}, {})
    workshop = Workshop(setting(session), View(), None, None, 1)  # type: ignore[arg-type]
    refine_all(workshop, compared, Budget(1e6))
    refined = Candidate("fake", Int8Static(), build_options={"a": 1})
    assert workshop.refined_from == {refined.id: BASE.id}
    assert Candidate("fake", Int8Static(), build_options={"a": 1}, run_options={"streams": 2}).id in compared.built


def test_what_the_target_offered_stays_whatever_options_it_has(session: Session) -> None:
    offered = Candidate("fake", Int8Static(), build_options={"": 1})
    item = built(Target([{"a": 1}]), SITE, offered)
    compared = Compared({item.id: item}, {item.id: comparison(NOISE[""])}, {})
    refine_all(Workshop(setting(session), View(), None, None, 1), compared, Budget(1e6))  # type: ignore[arg-type]
    assert options_of(compared) == [{"": 1}, {"": 1, "a": 1}]


def test_what_is_there_already_is_neither_opened_again_nor_dropped(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is open under its name: opening it twice would end the run."""
    offered = Candidate("fake", Int8Static(), build_options={"b": 1})
    target = Target([{"b": 1}])
    items = [built(target, SITE, candidate) for candidate in (BASE, offered)]
    compared = Compared({item.id: item for item in items}, {item.id: comparison(NOISE[""]) for item in items}, {})
    workshop = Workshop(setting(session), View(), None, None, 1)  # type: ignore[arg-type]
    monkeypatch.setattr(refinement, "compare_one", lambda _, __, item: pytest.fail(f"{item.id} is opened"))
    assert build_and_compare(workshop, compared, items[0].planned, BASE) is None
    refine_all(workshop, compared, Budget(1e6))
    assert set(compared.built) == {BASE.id, offered.id}
    assert not compared.refused


def test_a_rise_that_scatters_more_than_it_rises_is_chance() -> None:
    before = [9.4, 8.5, 13.9, 14.6, 10.4, 10.1, 16.9, 12.2, 17.2, 15.0, 12.0, 11.9]
    scattered = [9.1, 13.7, 15.3, 14.0, 12.1, 13.2, 17.5, 14.0, 13.3, 13.9, 16.1, 10.9]
    assert sum(scattered) > sum(before)
    assert not is_no_chance(before, scattered)
    assert is_no_chance(before, [db + 0.5 + 0.1 * (index % 3) for index, db in enumerate(before)])
    assert not is_no_chance(before, [db - 0.5 for db in before])
    assert is_no_chance([9.0], [9.5]), "one feed has nothing to tell chance by"


def test_a_change_that_helps_by_chance_is_left_out(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement, "is_no_chance", lambda before_db, after_db: False)
    compared = run(session, {"a": 1})
    assert options_of(compared) == [{}]
    assert "beyond what may be chance: SQNR 20.0 dB against 10.0 dB" in next(iter(compared.refused.values())).reason
