"""From a meter's samples to joules an inference, with 95 % intervals. Pure functions.

Load windows (inferences one after another) alternate with idle windows, so that every load window lies between two idle ones:

    idle  load  idle  load  idle ...

The net energy of a load window is its power less the mean of its two idle neighbours', times the time of an inference. What
drifts slowly (temperature, a fan, another program) is in both and cancels out. Samples within a window resemble one another, so a
window, not a sample, is the unit: the interval is Student's t over the repeats. Taking samples for independent, and one idle
window for the truth, gives intervals that are several times too narrow; the tests show both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from .statistics import student_t_975

Floats = npt.NDArray[np.float64]

MIN_REPEATS = 5
PERIODS_IN_A_WINDOW = 100  # a meter renewed every t errs by up to t/T over a window T: 1 %
INFERENCES_IN_A_WINDOW = 10
MIN_WINDOW_S = 1.0
MIN_SETTLE_S = 0.2


@dataclass(frozen=True)
class MeterFacts:
    """What a meter says of itself.

    ``kind``: its values are joules since some start ("counter") or watts ("power"). ``rails``: {name: scope}. ``total``: the rails
    that add up to ``scope``. ``resolution``: the smallest step of a value, in J or W. ``ranges_j``: where a counter starts again,
    by rail. ``source``: who reads it, and "stand-in" for one that a test put there.
    """

    name: str
    kind: Literal["counter", "power"]
    rails: Mapping[str, str]
    total: tuple[str, ...]
    scope: str
    period_s: float
    resolution: float
    ranges_j: Mapping[str, float] = field(default_factory=dict)
    source: Literal["device", "host", "stand-in"] = "device"


@dataclass(frozen=True)
class Window:
    """One stretch of time. ``key`` is None while the device idles. Times are in seconds of the clock that the samples use.

    ``times``: shape (samples,); ``values``: shape (samples, rails), in the order of the meter's rails.
    """

    key: str | None
    start_s: float
    end_s: float
    n: int
    times: Floats
    values: Floats
    failure: str = ""


@dataclass(frozen=True)
class RailEnergy:
    """Joules an inference on one rail; ``net_j`` is None when it cannot be told from nothing."""

    scope: str
    in_total: bool
    gross_j: float
    net_j: float | None


@dataclass(frozen=True)
class EnergyEstimate:
    """Joules an inference. ``gross_j`` is everything that the scope took meanwhile, ``net_j`` what it took more than when idle.

    ``net_j`` and ``ci95`` are None when the difference cannot be told from nothing; ``net_reason`` then says so.
    ``gross_of_repeats``: one value a load window, in order. ``n``: inferences in all load windows.
    """

    gross_j: float
    gross_ci95: tuple[float, float]
    net_j: float | None
    ci95: tuple[float, float] | None
    net_reason: str
    load_w: float
    idle_w: float
    rails: dict[str, RailEnergy]
    gross_of_repeats: tuple[float, ...]
    n: int
    inference_s: float


def window_length_s(period_s: float, latency_s: float) -> float:
    """How long a window must be for a meter that is renewed every ``period_s``, and a candidate that takes ``latency_s``."""
    return max(MIN_WINDOW_S, PERIODS_IN_A_WINDOW * period_s, INFERENCES_IN_A_WINDOW * latency_s)


def settle_s(period_s: float) -> float:
    """What is cut off the beginning of every window: a slow meter still shows what was before it."""
    return max(MIN_SETTLE_S, period_s)


def mean_powers_w(meter: MeterFacts, window: Window) -> Floats:
    """The mean power of each rail over a window, its beginning left out.

    Returns:
        Watts, in the order of the meter's rails.

    Raises:
        ValueError: too few samples, or a counter that went backwards although it has no range.
    """
    begin_s = window.start_s + settle_s(meter.period_s)
    inside = (window.times >= begin_s) & (window.times <= window.end_s)
    times, values = window.times[inside], window.values[inside]
    span_s = float(times[-1] - times[0]) if len(times) > 1 else 0.0
    if span_s <= 0.5 * (window.end_s - begin_s):
        raise ValueError(f"only {len(times)} readings" + (f": {window.failure}" if window.failure else ""))
    if meter.kind == "power":
        trapezoids = (values[1:] + values[:-1]) / 2 * np.diff(times)[:, None]
        return np.asarray(trapezoids.sum(axis=0) / span_s, dtype=np.float64)
    ranges = [meter.ranges_j.get(name) for name in meter.rails]
    joules = [counter_joules(values[:, index], range_j) for index, range_j in enumerate(ranges)]
    return np.array(joules, dtype=np.float64) / span_s


def counter_joules(values: Sequence[float] | Floats, range_j: float | None) -> float:
    """What a counter has counted from its first to its last value, also when it started again from 0 in between.

    Raises:
        ValueError: it went backwards, and where it starts again is not known.
    """
    steps = np.diff(np.asarray(values, dtype=np.float64))
    backwards = steps < 0
    if backwards.any():
        if range_j is None or (steps[backwards] < -range_j).any():
            raise ValueError("the counter went backwards")
        steps = np.where(backwards, steps + range_j, steps)
    return float(steps.sum())


def estimate(meter: MeterFacts, windows: Sequence[Window], key: str) -> EnergyEstimate:
    """The energy of one candidate from windows in the order of time.

    Raises:
        ValueError: fewer than 5 load windows between idle ones could be read; says why.
    """
    pairs: list[tuple[Window, Floats, Floats]] = []
    why = ""
    for index, window in enumerate(windows):
        if window.key != key:
            continue
        try:
            before, after = _idle_neighbours(windows, index)
            load_w = mean_powers_w(meter, window)
            idle_w = (mean_powers_w(meter, before) + mean_powers_w(meter, after)) / 2
        except ValueError as problem:
            why = str(problem)
            continue
        pairs.append((window, load_w, idle_w))
    if len(pairs) < MIN_REPEATS:
        raise ValueError(f"{len(pairs)} load windows could be read, {MIN_REPEATS} are needed" + (f" ({why})" if why else ""))
    each_s = np.array([(window.end_s - window.start_s) / window.n for window, _, _ in pairs])
    loads, idles = np.array([load for _, load, _ in pairs]), np.array([idle for _, _, idle in pairs])
    total = np.array([name in meter.total for name in meter.rails])
    step_j = _step_j(meter, pairs[0][0]) * int(total.sum())

    def over_repeats(powers: Floats, least_j: float) -> tuple[float, float]:
        return mean_and_half_width(powers * each_s, least_j)

    gross, gross_half = over_repeats(loads[:, total].sum(axis=1), step_j)
    net, net_half = over_repeats((loads - idles)[:, total].sum(axis=1), step_j)
    resolved = net > net_half
    return EnergyEstimate(
        gross_j=gross,
        gross_ci95=(gross - gross_half, gross + gross_half),
        net_j=net if resolved else None,
        ci95=(net - net_half, net + net_half) if resolved else None,
        net_reason=""
        if resolved
        else f"below resolution: {net * 1e3:.3g} mJ with a 95 % interval of plus or minus {net_half * 1e3:.3g} mJ",
        load_w=float(loads[:, total].sum(axis=1).mean()),
        idle_w=float(idles[:, total].sum(axis=1).mean()),
        rails=_rails(meter, loads, idles, over_repeats, _step_j(meter, pairs[0][0])),
        gross_of_repeats=tuple(float(value) for value in loads[:, total].sum(axis=1) * each_s),
        n=sum(window.n for window, _, _ in pairs),
        inference_s=float(each_s.mean()),
    )


def mean_and_half_width(values: Floats, least: float = 0.0) -> tuple[float, float]:
    """The mean of independent values and half its 95 % interval (Student's t), which is never below ``least``."""
    n = len(values)
    half = student_t_975(n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return float(values.mean()), max(half, least)


def _idle_neighbours(windows: Sequence[Window], index: int) -> tuple[Window, Window]:
    neighbours = [windows[at] for at in (index - 1, index + 1) if 0 <= at < len(windows)]
    if len(neighbours) != 2 or any(window.key is not None for window in neighbours):
        raise ValueError("a load window is not between two idle ones")
    return neighbours[0], neighbours[1]


def _step_j(meter: MeterFacts, window: Window) -> float:
    """What one step of the meter is worth in joules an inference."""
    if meter.kind == "counter":
        return meter.resolution / window.n
    return meter.resolution * (window.end_s - window.start_s) / window.n


def _rails(
    meter: MeterFacts, loads: Floats, idles: Floats, over_repeats: Callable[[Floats, float], tuple[float, float]], step_j: float
) -> dict[str, RailEnergy]:
    found = {}
    for index, (name, scope) in enumerate(meter.rails.items()):
        gross, _ = over_repeats(loads[:, index], step_j)
        net, half = over_repeats(loads[:, index] - idles[:, index], step_j)
        found[name] = RailEnergy(scope, name in meter.total, gross, net if net > half else None)
    return found
