"""Choosing which operators stay in float: the ranking, the sets that are built, and what the trail says."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.searching import built

from edgekit import sparing
from edgekit.errors import DeviceRunError
from edgekit.fidelity import Comparison, OutputKind
from edgekit.profiles import machine_profile
from edgekit.quantize.damage import Contribution
from edgekit.quantize.types import Placement, Quantizable, QuantizedOperator, Sparable
from edgekit.schemes import Int8Static, Scheme, Vendor
from edgekit.simulation import closest, output_error
from edgekit.sparing import Base, _gains, _groups
from edgekit.sparing_sets import MOST_SETS, Gains, Trail, rank, sets_worth_building
from edgekit.types import Candidate, RunFailure, Site

KINDS = {"y": OutputKind("cosine")}


class FakeSimulation:
    """Errors that add up: each quantized operator brings its own."""

    def __init__(self, errors: dict[str, float], agreement_of: dict[int, float] | None = None) -> None:
        self.errors = errors
        self.agreement_of = agreement_of or {}

    def of(self, quantized: Collection[str]) -> Comparison:
        noise = sum(self.errors[node] for node in quantized)
        comparison = Comparison(KINDS, signal=1.0, noise=noise, dot=1.0, candidate_power=1.0, feeds=1)
        comparison.equal["y"], comparison.total["y"] = max(0.0, 1 - noise), 1
        return comparison


def workshop(min_agreement: float) -> Any:
    gates = SimpleNamespace(agreement_needed=lambda labels: min_agreement)
    return SimpleNamespace(setting=SimpleNamespace(gates=gates, evaluation=None))


def contributions(errors: dict[str, float]) -> list[Contribution]:
    return [Contribution(node, error, alone=True) for node, error in sorted(errors.items(), key=lambda item: -item[1])]


def test_what_gains_nothing_is_spared_before_what_does_damage() -> None:
    errors = {"heavy": 0.5, "gainless": 0.001, "light": 0.01}
    gains = Gains({"heavy": 1e-3, "gainless": -1e-5, "light": 1e-3}, 5e-3)
    assert rank(contributions(errors), gains) == ["gainless", "heavy", "light"]


def test_damage_is_weighed_against_the_time_that_is_gained() -> None:
    gains = Gains({"heavy_and_slow": 10e-3, "light_and_quick": 1e-4}, 20e-3)
    assert rank(contributions({"heavy_and_slow": 0.2, "light_and_quick": 0.1}), gains)[0] == "light_and_quick"


def test_the_shortest_set_that_holds_the_gate_is_built_and_closer_ones_beside_it() -> None:
    errors = {f"n{index}": 0.2 / 2**index for index in range(12)}
    gains = Gains(dict.fromkeys(errors, 1e-3), 20e-3)
    ranking = rank(contributions(errors), gains)
    trail = Trail()
    simulation: Any = FakeSimulation(errors)
    base: Any = SimpleNamespace(id="onnx/int8")
    found = sets_worth_building(workshop(0.95), trail, base, simulation, ranking, gains, is_base=True)
    lengths = [len(spared) for spared in found]
    assert lengths == sorted(set(lengths))
    assert 0 not in lengths
    assert all(list(spared) == ranking[: len(spared)] for spared in found)
    shortest = next(n for n in range(13) if sum(errors[node] for node in ranking[n:]) <= 0.05)
    assert shortest in lengths
    assert 1 < len(found) <= MOST_SETS
    assert [step["outcome"] for step in trail.steps].count("is built") == len(found)
    assert all(step["candidate"] == "onnx/int8" for step in trail.steps)


def test_a_set_that_would_hardly_be_faster_than_float_is_not_built() -> None:
    errors = {"a": 0.5, "b": 0.4}
    gains = Gains({"a": 1e-3, "b": 1e-6}, 1.0)
    trail = Trail()
    simulation: Any = FakeSimulation(errors)
    base: Any = SimpleNamespace(id="onnx/int8")
    assert sets_worth_building(workshop(0.99), trail, base, simulation, ["a", "b"], gains, is_base=True) == []
    assert "hardly faster" in trail.steps[-1]["outcome"]


def test_another_range_method_is_built_although_nothing_is_spared() -> None:
    errors = {"a": 1e-4, "b": 1e-4}
    gains = Gains({"a": 1e-3, "b": 1e-3}, 5e-3)
    simulation: Any = FakeSimulation(errors)
    base: Any = SimpleNamespace(id="onnx/int8")
    found = sets_worth_building(workshop(0.98), Trail(), base, simulation, ["a", "b"], gains, is_base=False)
    assert [] in [list(spared) for spared in found]


def test_an_estimate_never_promises_what_no_model_has() -> None:
    gains = Gains({"a": 1.0, "b": -0.5}, 1.0)
    assert gains.speedup(["a"]) == pytest.approx(1000)
    assert gains.speedup(["b"]) == pytest.approx(1 / 1.5)
    assert gains.least_s == pytest.approx(1e-3)


def test_the_usual_range_method_stays_unless_another_is_clearly_closer() -> None:
    assert closest({"minmax": [11.7], "mse": [11.6], "entropy": [12.0]}) == "mse"
    assert closest({"minmax": [14.0], "mse": [11.6], "entropy": [12.4]}) == "minmax"
    assert closest({"minmax": [3.0]}) == "minmax"
    assert closest({"mse": [-20.0], "percentile": [1.0]}) == "percentile"


def test_another_range_method_must_be_closer_by_more_than_chance() -> None:
    assert closest({"mse": [10.0, 12.0, 14.0], "entropy": [16.0, 8.0, 15.0]}) == "mse", "one feed of three"
    assert closest({"mse": [10.0, 12.0, 14.0], "entropy": [11.0, 13.2, 14.9]}) == "entropy"


def test_an_error_of_masks_is_what_disagrees() -> None:
    masks = Comparison({"y": OutputKind("argmax")})
    masks.add({"y": np.array([[0, 1, 1, 2]])}, {"y": np.array([[0, 1, 2, 2]])})
    assert output_error(masks) == 0.25
    values = Comparison(KINDS)
    values.add({"y": np.float32([[3.0, 4.0]])}, {"y": np.float32([[3.0, 3.0]])})
    assert output_error(values) == pytest.approx(1 / 25)
    values.add({"y": np.float32([[3.0, 4.0]])}, {"y": np.float32([[np.nan, 4.0]])})
    assert output_error(values) == np.inf


def test_without_times_no_speed_is_estimated() -> None:
    errors = {"a": 0.5, "b": 0.1}
    trail = Trail()
    simulation: Any = FakeSimulation(errors)
    base: Any = SimpleNamespace(id="onnx/int8")
    gains = Gains(dict.fromkeys(errors, 1.0), 2.001, is_measured=False)
    assert sets_worth_building(workshop(0.85), trail, base, simulation, ["a", "b"], gains, is_base=True)
    assert all(step["estimated_speedup_vs_float"] is None for step in trail.steps)


def test_without_times_the_levels_of_closeness_are_what_can_be_chosen() -> None:
    errors = {f"n{index}": 0.1 / 1.3**index for index in range(60)}
    gains = Gains(dict.fromkeys(errors, 1.0), 60.001, is_measured=False)
    ranking = rank(contributions(errors), gains)
    simulation: Any = FakeSimulation(errors)
    base: Any = SimpleNamespace(id="tensorrt/int8")
    found = sets_worth_building(workshop(0.0), Trail(), base, simulation, ranking, gains, is_base=True)
    reached_db = [simulation.of(ranking[len(spared) :]).closeness_db for spared in found]
    for level_db in (20, 25, 30, 35):
        assert any(level_db <= db < level_db + 1.5 for db in reached_db), "although the gate on agreement holds as it is"
    assert reached_db == sorted(reached_db)


TARGET = SimpleNamespace(name="fake")


def base_of(scheme: Scheme, *nodes: str, is_measured: bool = False, option: str = "", rewrites: tuple[str, ...] = ()) -> Base:
    operators = tuple(Quantizable(QuantizedOperator(node, "Conv", ("x",), "w", 0, None, None)) for node in nodes)
    sparable = Sparable(Placement("fake", {}), operators, method_option=option, rewrites=rewrites)
    item: Any = SimpleNamespace(planned=SimpleNamespace(target=TARGET, candidate=Candidate("fake", scheme)))
    return Base(item, sparable, Gains(dict.fromkeys(nodes, 1.0), 3.0, is_measured=is_measured))


def test_what_quantizes_the_same_operators_shares_a_search_where_no_times_tell_it_apart() -> None:
    int8, mixed = base_of(Int8Static(), "a", "b"), base_of(Vendor("int8+fp16"), "a", "b", rewrites=("equalize",))
    other = base_of(Int8Static(), "a")
    assert _groups([int8, mixed, other]) == [[int8, mixed], [other]]
    timed = [base_of(scheme, "a", "b", is_measured=True) for scheme in (Int8Static(), Vendor("int8+fp16"))]
    assert _groups(timed) == [[timed[0]], [timed[1]]]


def test_a_variant_takes_its_range_method_where_its_candidate_says_it() -> None:
    int8, mixed = base_of(Int8Static(), "a"), base_of(Vendor("int8+fp16"), "a", option="range_method")
    assert int8.variant(["a"], "mse") == Candidate("fake", Int8Static("mse"), keep_float=frozenset("a"))
    assert int8.variant(["a"], "minmax") == Candidate("fake", Int8Static(), keep_float=frozenset("a"))
    expected = Candidate("fake", Vendor("int8+fp16"), build_options={"range_method": "mse"}, keep_float=frozenset("a"))
    assert mixed.variant(["a"], "mse") == expected
    assert mixed.variant([], "minmax") == mixed.item.planned.candidate


class Profiled:
    """A target whose runtime tells times by operator, and a session in which that fails."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def sparable(self, *_: object) -> None: ...

    def operator_seconds(self, *_: object) -> dict[str, float]:
        raise AssertionError("there is nothing to read")

    def layers(self, key: str, feed: object, *, runs: int) -> object:
        raise DeviceRunError("it failed on the device", why="no space left for the profile")

    def close_worker(self, key: str) -> None:
        self.closed.append(key)


@pytest.mark.parametrize("failure", [None, RunFailure("error", "no space left to load it")], ids=["when it runs", "when it loads"])
def test_operators_that_cannot_be_timed_are_no_end_of_the_run(failure: RunFailure | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparing, "open_worker", lambda *_: failure)
    fake, trail = Profiled(), Trail()
    item = built(fake, Site(machine_profile("x86_64")), Candidate("fake", Int8Static()))
    view, model = SimpleNamespace(feeds=[{}]), SimpleNamespace(inputs=[])
    shop: Any = SimpleNamespace(is_timed=True, setting=SimpleNamespace(session=fake), view=view, model=model)
    assert not _gains(shop, trail, item, {"a": 1.0}, ["a"]).is_measured
    assert "no space left" in str(trail.steps[0]["what"])
    assert fake.closed == [f"{item.id} by operator"]
