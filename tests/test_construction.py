"""What is planned is built in turns and within the budget, and whoever cannot be built is a row with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support.searching import Quiet, built

from edgekit import construction
from edgekit.budget import Allowance, Budget
from edgekit.building import Built
from edgekit.construction import build_all
from edgekit.errors import DataError, EdgekitError, MissingExtraError, ModelError
from edgekit.plan import Planned
from edgekit.profiles import machine_profile
from edgekit.schemes import BFloat16, Float32, Int8Dynamic, Int8Static, Scheme
from edgekit.types import Candidate, CandidateReport, Reject, Site

SITE = Site(machine_profile("x86_64"))
FAILS: dict[str, EdgekitError] = {}  # what building raises, by candidate


class Target:
    """One that fails where it is told to, by scheme."""

    version = "1"
    supports_keep_float = False

    def __init__(self, name: str, *refused: type[Scheme]) -> None:
        self.name, self.refused = name, refused

    def reject(self, model: Any, candidate: Candidate, site: Site) -> Reject | None:
        return Reject("no", "cannot be expressed") if isinstance(candidate.scheme, self.refused) else None

    def plan(self, *schemes: Scheme) -> list[Planned]:
        target: Any = self
        candidates = [Candidate(self.name, scheme) for scheme in schemes]
        return [Planned(target, SITE, each, self.reject(None, each, SITE)) for each in candidates]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The candidates whose build was begun, in order."""
    begun: list[str] = []

    def build(_: Any, item: Planned, __: Any, *, threads: int) -> Built:
        begun.append(item.id)
        if item.id in FAILS:
            raise FAILS[item.id]
        return built(item.target, item.site, item.candidate)

    monkeypatch.setattr(construction, "build", build)
    return begun


def run(
    planned: Sequence[Planned], budget: Budget | None = None, **more: Any
) -> tuple[dict[str, Built], dict[str, CandidateReport]]:
    model: Any = None
    return build_all(model, planned, None, threads=1, budget=budget or Budget(None), progress=Quiet(), **more)


def test_targets_take_turns(tried: list[str]) -> None:
    run([*Target("a").plan(Float32(), Int8Static(), Int8Dynamic()), *Target("b").plan(Float32(), Int8Static())])
    assert tried == ["a/float32", "b/float32", "a/int8", "b/int8", "a/int8-dynamic"]


def test_a_target_without_its_package_is_one_row(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAILS, "b/float32", MissingExtraError("vendor", "b", "the b target"))
    made, refused = run([*Target("a").plan(Float32()), *Target("b").plan(Float32(), Int8Static(), BFloat16())])
    assert list(made) == ["a/float32"]
    assert list(refused) == ["b/float32"]
    assert "vendor" in refused["b/float32"].reason
    with pytest.raises(MissingExtraError):
        run(Target("b").plan(Float32(), Int8Static()))


def test_a_package_that_one_format_needs_does_not_take_the_others_along(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAILS, "b/int8", MissingExtraError("quantizer", "b", "the b target"))
    made, refused = run(Target("b").plan(Float32(), Int8Static(), BFloat16()))
    assert list(made) == ["b/float32", "b/bfloat16"]
    assert list(refused) == ["b/int8"]


def test_what_fails_is_a_row_and_what_is_nobodys_fault_ends_it(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAILS, "a/int8", ModelError("no kernel"))
    made, refused = run(Target("a", Int8Dynamic).plan(Float32(), Int8Static(), Int8Dynamic()))
    assert list(made) == ["a/float32"]
    assert refused["a/int8"].reason == "cannot be built: no kernel"
    assert "cannot be expressed" in refused["a/int8-dynamic"].reason
    monkeypatch.setitem(FAILS, "a/int8", DataError("a feed is broken"))
    with pytest.raises(DataError):
        run(Target("a").plan(Float32(), Int8Static()))


def test_a_model_that_no_target_can_express_is_refused(tried: list[str]) -> None:
    with pytest.raises(ModelError, match="a cannot express this model"):
        run(Target("a", Float32, Int8Static).plan(Float32(), Int8Static()))


def test_a_spent_budget_leaves_float_and_what_was_asked_for(tried: list[str]) -> None:
    planned = Target("a").plan(Float32(), Int8Static(), Int8Dynamic())
    made, refused = run(planned, Budget(0.0))
    assert list(made) == ["a/float32"]
    assert all(row.reason.startswith("not tried: 40% of the budget") for row in refused.values())
    made, refused = run(planned, Budget(0.0), asked_for=True)
    assert list(made) == ["a/float32", "a/int8"]
    assert list(refused) == ["a/int8-dynamic"]


def test_a_share_of_the_budget_is_spent_before_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("edgekit.budget.time.monotonic", lambda: now)
    budget = Budget(10.0)
    half, unasked = Allowance(budget, 0.5, 3.0), Allowance(Budget(None), 0.5, 3.0)
    assert (half.remaining_s(), unasked.remaining_s()) == (5.0, 3.0)
    now = 105.0
    assert budget.is_spent(0.5)
    assert not budget.is_spent()
    assert half.is_over
    assert unasked.is_over
    budget.forgive(2.0)
    assert budget.remaining_s() == 7.0
    assert half.remaining_s() == 2.0
    assert not Budget(None).is_spent()
    assert Budget(None).remaining_s() is None
