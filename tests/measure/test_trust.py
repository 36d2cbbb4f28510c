from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edgekit.measure.trust import clock_drop, load_of, trust
from edgekit.types import Conditions, Measurement, Reading, WarmUp, Zone

ROUNDS, WINDOW_S = 20, 0.03
STEADY = [1.0, 1.01, 0.99, 1.0, 1.0, 1.01]


def conditions(readings: Sequence[Reading] = (), *, passive_c: float | None = None) -> Conditions:
    return Conditions(
        cpus=(1,), machine_cpus=2, tick_s=0.01, governor="schedutil", zones=(Zone("cpu", passive_c),), readings=tuple(readings)
    )


def quiet(**changes: object) -> Reading:
    usual = Reading(
        window_s=WINDOW_S, busy_s=WINDOW_S, stolen_s=0.0, machine_busy_s=WINDOW_S, own_s=WINDOW_S, waited_s=0.0, pressure_s=0.0,
        clocks_hz=(2.4e9,), temperatures_c=(45.0,),
    )  # fmt: skip
    return Reading(**{**usual.__dict__, **changes})  # type: ignore[arg-type]


def clocks(trace: Sequence[float]) -> Conditions:
    return conditions([quiet(clocks_hz=(value,)) for value in trace])


def measurement(
    medians: Sequence[float], under: Conditions | None = None, *, n: int = 20, steady: bool | None = True
) -> Measurement:
    return Measurement(
        loop="agent/1", rounds=tuple((median,) * n for median in medians), warm_up=WarmUp(9, 1.5, steady), load_s=0.1,
        first_inference_s=0.1, peak_memory_bytes=None, mode="resident", requested={}, effective={}, threads=1, conditions=under,
    )  # fmt: skip


def test_rounds_and_warm_up_alone() -> None:
    assert trust(measurement(STEADY)).verdict == "steady"
    assert trust(measurement([1.0] * 4)).verdict == "too short"
    assert trust(measurement([1.0] * 5, n=5)).verdict == "too short"
    noisy = trust(measurement([1.0, 1.2, 0.8, 1.3, 0.9, 1.1]))
    assert noisy.verdict == "noisy"
    assert "more than 5%" in noisy.reason
    assert trust(measurement([1.0] * 9 + [3.0])).verdict == "steady", "one odd round is what rounds are for"
    cold = trust(measurement([1.0] * 6, steady=False))
    assert cold.verdict == "noisy"
    assert "1.5 s of warming up" in cold.reason
    assert "warm-up" not in trust(measurement([1.0] * 6)).reason
    unknown = trust(measurement([1.0] * 6, steady=None))
    assert unknown.verdict == "steady", "what is not known does not speak against it"
    assert "agent/1 does not tell whether its warm-up became steady" in unknown.reason, "nor is it claimed"


def test_a_quiet_machine_and_one_that_tells_nothing() -> None:
    assert trust(measurement(STEADY, conditions([quiet()] * ROUNDS))).verdict == "steady"
    assert trust(measurement(STEADY, conditions([Reading(WINDOW_S)] * ROUNDS))).verdict == "steady"
    assert trust(measurement(STEADY, conditions())).verdict == "steady"


def test_standing_in_line_is_noise_though_the_medians_are_steady() -> None:
    found = trust(measurement(STEADY, conditions([quiet(waited_s=0.5 * WINDOW_S)] * ROUNDS)))
    assert found.verdict == "noisy"
    assert "waited for a CPU during 50%" in found.reason


def test_load_by_others_counts_without_the_candidate_itself() -> None:
    long = [quiet(window_s=1.0, busy_s=1.0, own_s=0.7, machine_busy_s=1.0, waited_s=None)] * ROUNDS
    found = trust(measurement(STEADY, conditions(long)))
    assert found.verdict == "noisy"
    assert "others took 30%" in found.reason
    alone = [quiet(window_s=1.0, busy_s=1.0, own_s=1.0, machine_busy_s=1.0, waited_s=None)] * ROUNDS
    assert trust(measurement(STEADY, conditions(alone))).verdict == "steady"


def test_a_neighbour_on_another_cpu_is_noise_when_it_takes_much_of_the_machine() -> None:
    beside = [quiet(window_s=1.0, busy_s=1.0, own_s=1.0, machine_busy_s=1.9)] * ROUNDS
    assert "45% of the machine" in trust(measurement(STEADY, conditions(beside))).reason
    little = [quiet(window_s=1.0, busy_s=1.0, own_s=1.0, machine_busy_s=1.1)] * ROUNDS
    assert trust(measurement(STEADY, conditions(little))).verdict == "steady"


def test_ticks_are_too_coarse_for_short_bursts_to_accuse_anybody() -> None:
    """Counts in steps of 10 ms over bursts of 3 ms: their rounding alone looks like load, and is not taken for it."""
    random = np.random.default_rng(5)
    for _ in range(200):
        readings = []
        for _ in range(ROUNDS):
            length, phases = 0.003, random.uniform(0, 0.01, 2)
            busy_s, own_s = 0.01 * (np.floor((phases + length) / 0.01) - np.floor(phases / 0.01))
            readings.append(quiet(window_s=length, busy_s=busy_s, own_s=own_s, machine_busy_s=busy_s))
        assert trust(measurement(STEADY, conditions(readings))).verdict == "steady"


def test_load_is_a_part_of_the_cpus_in_question() -> None:
    load = load_of(conditions([quiet(window_s=2.0, busy_s=1.5, own_s=1.0, machine_busy_s=3.0, waited_s=0.1)]))
    assert (load.waited, load.others, load.others_machine) == (0.05, 0.25, 0.5)
    assert load_of(conditions([quiet(own_s=None)])).others is None


@pytest.mark.parametrize(
    "trace",
    [
        [2.4e9] * 10 + [1.5e9] * 10,
        list(np.linspace(2.4e9, 1.8e9, ROUNDS)),
        [2.4e9] * 8 + [1.6e9] * 6 + [2.4e9] * 6,
        [2.4e9, 2.39e9] * 5 + [2.2e9, 2.1e9] * 5,
    ],
)
def test_a_clock_that_falls_is_throttling(trace: list[float]) -> None:
    found = trust(measurement([1.0] * 20, clocks(trace)))
    assert found.verdict == "throttled"
    assert "the clock fell from 2." in found.reason


@pytest.mark.parametrize(
    "trace",
    [
        [2.4e9] * ROUNDS,
        [1.2e9] * 3 + [2.4e9] * 17,
        [2.4e9] * 10 + [1.5e9] + [2.4e9] * 9,
        [2.4e9, 1.5e9] * 10,
        [2.4e9] * 10 + [2.35e9] * 10,
    ],
)
def test_a_clock_that_rises_wavers_or_dips_once_is_none(trace: list[float]) -> None:
    assert trust(measurement([1.0] * 20, clocks(trace))).verdict == "steady"


def test_the_fall_of_a_clock_is_named() -> None:
    assert clock_drop(np.array([2.0] * 4 + [1.0] * 4)) == (2.0, 1.0)
    assert clock_drop(np.array([1.0] * 4 + [2.0] * 4)) == (1.5, 1.5)


def test_a_counter_or_flag_of_throttling_is_named() -> None:
    readings = [quiet()] * 15 + [quiet(throttled=("cpu1 core throttle count",))] + [quiet()] * 4
    found = trust(measurement(STEADY, conditions(readings)))
    assert found.verdict == "throttled"
    assert "cpu1 core throttle count" in found.reason


def test_heat_decides_only_where_no_clock_can_be_read() -> None:
    hot = [quiet(temperatures_c=(81.0,), clocks_hz=None)] * ROUNDS
    found = trust(measurement(STEADY, conditions(hot, passive_c=80.0)))
    assert found.verdict == "throttled"
    assert "cpu came to 81" in found.reason
    assert trust(measurement(STEADY, conditions(hot, passive_c=None))).verdict == "steady"
    held = [quiet(temperatures_c=(81.0,))] * ROUNDS
    assert trust(measurement(STEADY, conditions(held, passive_c=80.0))).verdict == "steady"
