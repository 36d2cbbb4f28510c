"""Whether a latency may be relied on: from its rounds, its warm-up and the conditions under which it was taken.

A median can look steady beside a program that takes half of the processor: short inferences fit between two of its time slices. So
the rounds alone do not decide; what others took, what the clock did and what the sensors say counts as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..types import Conditions, ConditionSummary, Measurement, Reading
from .statistics import Floats, checked, relative_spread

Verdict = Literal["steady", "throttled", "noisy", "too short"]

MIN_ROUNDS = 5
MIN_SAMPLES = 30
MAX_SPREAD = 0.05  # of the medians of the rounds
MAX_WAITED = 0.05  # of the time that its threads could have run
MAX_OTHERS = 0.10  # of the CPUs that are timed on
MAX_OTHERS_MACHINE = 0.25  # of all CPUs: neighbours share memory, caches and heat
MAX_CLOCK_DROP = 0.05


@dataclass(frozen=True)
class Trust:
    """Whether a latency may be relied on, and why or why not."""

    verdict: Verdict
    reason: str


def trust(measurement: Measurement) -> Trust:
    """How far ``measurement`` can be relied on; the first of these that holds.

    - "too short": fewer than 5 rounds or 30 samples.
    - "throttled": a throttling counter rose; or the clock fell by more than 5 % and stayed down for a quarter of the rounds; or,
      where no clock can be read, a zone came to the temperature from which the kernel slows the device down.
    - "noisy": other programs took too much of the processor; the warm-up did not become steady; or the medians of the rounds spread
      by more than 5 % (scaled median absolute deviation over the median, which one odd round does not move).
    - "steady": none of these. What could not be read cannot speak against it; ``Conditions.reasons`` says what that is.
    """
    medians = np.array([np.median(one_round) for one_round in checked(measurement.rounds)])
    n = len(measurement.samples())
    if len(medians) < MIN_ROUNDS or n < MIN_SAMPLES:
        return Trust("too short", f"{n} samples in {len(medians)} rounds; at least {MIN_SAMPLES} in {MIN_ROUNDS} are needed")
    conditions = measurement.conditions
    if conditions is not None:
        slowed = held_down(conditions)
        if slowed:
            return Trust("throttled", slowed)
        disturbed = _disturbed(conditions)
        if disturbed:
            return Trust("noisy", disturbed)
    spread = relative_spread(medians)
    if spread > MAX_SPREAD:
        return Trust("noisy", f"the medians of the rounds spread by {spread:.1%}, more than {MAX_SPREAD:.0%}")
    if measurement.warm_up.steady is False:
        return Trust("noisy", f"it was not steady after {measurement.warm_up.elapsed_s:.1f} s of warming up")
    unknown = f"; {measurement.loop} does not tell whether its warm-up became steady" if measurement.warm_up.steady is None else ""
    return Trust("steady", f"the medians of {len(medians)} rounds spread by {spread:.1%}{unknown}")


def summarize_conditions(conditions: Conditions | None) -> ConditionSummary | None:
    """What a report says of them; every reading stays in the measurement."""
    if conditions is None:
        return None
    load, readings = load_of(conditions), conditions.readings
    clocks = lowest_clocks(readings)
    hottest = [max(known) for reading in readings if (known := [t for t in reading.temperatures_c if t is not None])]
    return ConditionSummary(
        governor=conditions.governor,
        clock_hz=None if clocks is None else (float(clocks.min()), float(clocks.max())),
        temperature_c=(min(hottest), max(hottest)) if hottest else None,
        waited=load.waited,
        others=load.others,
        others_machine=load.others_machine,
        throttled=tuple(sorted({name for reading in readings for name in reading.throttled})),
        reasons=conditions.reasons,
    )


# ---------------------------------------------------------------- throttling
def held_down(conditions: Conditions) -> str:
    """What held the clock down; empty when nothing is known to have."""
    counted = sorted({name for reading in conditions.readings for name in reading.throttled})
    if counted:
        return f"the device was held down while it was timed ({', '.join(counted)})"
    clocks = lowest_clocks(conditions.readings)
    if clocks is None:
        return _too_hot(conditions)
    high, low = clock_drop(clocks)
    if high > 0 and 1 - low / high > MAX_CLOCK_DROP:
        hottest = _hottest(conditions)
        heat = f", at {hottest:.0f} degrees Celsius" if hottest is not None else ""
        return f"the clock fell from {high / 1e9:.2f} to {low / 1e9:.2f} GHz during the run{heat}"
    return ""


def lowest_clocks(readings: tuple[Reading, ...]) -> Floats | None:
    """The slowest timing CPU's clock at each reading in hertz; None where one is missing."""
    values = [min(reading.clocks_hz) if reading.clocks_hz else None for reading in readings]
    known = [value for value in values if value is not None]
    return np.array(known) if known and len(known) == len(values) else None


def clock_drop(clocks_hz: Floats) -> tuple[float, float]:
    """The largest fall that lasted: (clock before, clock after), equal when there is none.

    Stretches of a quarter of the readings are compared. Every clock of the later one must lie below every clock of the earlier: a
    governor that goes up and down between bursts is no throttling.
    """
    width = max(2, len(clocks_hz) // 4)
    stretches = [clocks_hz[start : start + width] for start in range(len(clocks_hz) - width + 1)]
    found, highest = (float(np.median(clocks_hz)),) * 2, 0.0
    for position, later in enumerate(stretches):
        for earlier in stretches[: max(0, position - width + 1)]:
            before, after = float(np.median(earlier)), float(np.median(later))
            if later.max() < earlier.min() and 1 - after / before > highest:
                found, highest = (before, after), 1 - after / before
    return found


def _too_hot(conditions: Conditions) -> str:
    for index, zone in enumerate(conditions.zones):
        known = [r.temperatures_c[index] for r in conditions.readings if index < len(r.temperatures_c)]
        hottest = max((value for value in known if value is not None), default=None)
        if zone.passive_c is not None and hottest is not None and hottest >= zone.passive_c:
            slows = f"from {zone.passive_c:.0f} on the kernel slows the device down (its clock cannot be read)"
            return f"{zone.name} came to {hottest:.0f} degrees Celsius, and {slows}"
    return ""


def _hottest(conditions: Conditions) -> float | None:
    known = [value for reading in conditions.readings for value in reading.temperatures_c if value is not None]
    return max(known, default=None)


# ---------------------------------------------------------------- other programs
@dataclass(frozen=True)
class Load:
    """What others took while a candidate was timed, as fractions of the time of the CPUs in question; None: not known.

    ``waited``: of the candidate's own threads. ``others``: of the timing CPUs, stolen time included; ``others_machine``: of all.
    ``grain``, ``grain_machine``: how far the last two may be wrong, since the kernel counts in ticks.
    """

    waited: float | None
    others: float | None
    others_machine: float | None
    grain: float
    grain_machine: float


def load_of(conditions: Conditions) -> Load:
    """The load over all bursts of a measurement. The candidate's own CPU time is no load."""
    readings = conditions.readings
    window_s = sum(reading.window_s for reading in readings)
    cpus = len(conditions.cpus) or conditions.machine_cpus
    if window_s <= 0:
        return Load(None, None, None, 0.0, 0.0)
    waited = [reading.waited_s for reading in readings]
    own = [reading.own_s for reading in readings]
    return Load(
        waited=_fraction(waited, [0.0] * len(waited), window_s * cpus),
        others=_fraction([reading.busy_s for reading in readings], own, window_s * cpus),
        others_machine=_fraction([reading.machine_busy_s for reading in readings], own, window_s * conditions.machine_cpus),
        grain=_grain(conditions, window_s * cpus, cpus),
        grain_machine=_grain(conditions, window_s * conditions.machine_cpus, conditions.machine_cpus),
    )


def _fraction(total: list[float | None], own: list[float | None], available_s: float) -> float | None:
    used = [value for value in total if value is not None]
    ours = [value for value in own if value is not None]
    if len(used) != len(total) or len(ours) != len(own):
        return None
    return max(0.0, sum(used) - sum(ours)) / available_s


def _grain(conditions: Conditions, available_s: float, cpus: int) -> float:
    """Twice the deviation of a sum of rounded counts: about a tick for every CPU and burst, in either direction."""
    return 2 * conditions.tick_s * math.sqrt(len(conditions.readings) * cpus) / available_s


def _disturbed(conditions: Conditions) -> str:
    """Who else used the processor; empty when nobody is known to have."""
    load = load_of(conditions)
    if load.waited is not None and load.waited > MAX_WAITED:
        return f"it waited for a CPU during {load.waited:.0%} of the time: other programs ran there"
    if load.others is not None and load.others - load.grain > MAX_OTHERS:
        return f"others took {load.others:.0%} of the CPUs that were timed on"
    if load.others_machine is not None and load.others_machine - load.grain_machine > MAX_OTHERS_MACHINE:
        return f"other programs took {load.others_machine:.0%} of the machine's processor time"
    return ""
