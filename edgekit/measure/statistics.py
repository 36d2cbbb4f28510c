"""From samples to latencies, speed-ups and their 95 % intervals. Pure functions; every random draw is seeded.

Samples within a round resemble one another (same clock, same temperature, same neighbours), so a round, not a sample, is the
unit that is resampled (a bootstrap over clusters; Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013, on
the levels of repetition). A percentile bootstrap over few units is too narrow; its percentiles are therefore moved outwards as
Hesterberg describes ("What teachers should know about the bootstrap", The American Statistician 69, 2015, section 5.3: the
expanded percentile interval).

This file also travels to devices (:mod:`edgekit.on_device`): Python 3.8 and numpy must do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import Latency, Ratio

if TYPE_CHECKING:
    import numpy.typing as npt

    Rounds = Sequence[Sequence[float]]
    Floats = npt.NDArray[np.float64]
else:
    Rounds = Floats = Any  # Python 3.8 has no Sequence[...], and the numpy of its time no numpy.typing

_REPLICATES = 2000
_SEED = 20261121
_LEAST_FOR_RESEMBLANCE = 8  # rounds, to say whether successive ones resemble one another
_MOST_RESEMBLANCE = 0.95  # an autocorrelation that is corrected to more says only that it is high
_GRID = 2048  # values at which the bootstrap looks for a median; all of them when there are no more samples than that

# 97.5 % points of Student's t for 1 to 30 degrees of freedom (any table; the tests integrate the density).
_T_975 = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
    2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
    2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
)  # fmt: skip


def student_t_975(degrees_of_freedom: int) -> float:
    """The 97.5 % point of Student's t: from the table, above 30 by Cornish and Fisher's expansion (error below 1e-5)."""
    if degrees_of_freedom < 1:
        raise ValueError("Student's t needs at least one degree of freedom")
    if degrees_of_freedom <= len(_T_975):
        return _T_975[degrees_of_freedom - 1]
    z = NormalDist().inv_cdf(0.975)
    n = degrees_of_freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def summarize(rounds: Rounds) -> Latency:
    """Percentiles and mean of all samples in seconds; ``ci95`` of the median by bootstrap over rounds.

    With a single round nothing is known of what differs between rounds: the interval is then that of all samples, smallest to
    largest.

    Raises:
        ValueError: no rounds, an empty one, or a sample that is no time.
    """
    arrays = checked(rounds)
    samples = np.sort(np.concatenate(arrays))
    p50, p90, p95, p99 = (float(value) for value in np.percentile(samples, (50, 90, 95, 99)))
    if len(arrays) == 1:
        interval = float(samples[0]), float(samples[-1])
    else:
        low, high = _expanded_interval(_bootstrap_medians(arrays, samples), len(arrays))
        interval = min(low, p50), max(high, p50)
    return Latency(p50=p50, p90=p90, p95=p95, p99=p99, mean=float(samples.mean()), n=len(samples), ci95=interval)


def speedup(slower_rounds: Rounds, faster_rounds: Rounds) -> Ratio:
    """How much faster the second is than the first: above 1 means faster.

    Rounds are pairs taken at nearly the same time. The value is the median over rounds of the ratio of the two medians, so one
    disturbed round does not move it; the interval is a bootstrap over rounds, wider where successive rounds resemble one another
    (see :func:`_resemblance_factor`). With a single pair the interval goes from the smallest sample over the largest to the largest
    over the smallest.

    Raises:
        ValueError: no rounds, different numbers of them, or a sample that is no time.
    """
    slower, faster = checked(slower_rounds), checked(faster_rounds)
    if len(slower) != len(faster):
        raise ValueError(f"{len(slower)} rounds cannot be paired with {len(faster)}")
    ratios = np.array([np.median(a) / np.median(b) for a, b in zip(slower, faster)])  # noqa: B905 - Python 3.8; as many of each
    value = float(np.median(ratios))
    if len(ratios) == 1:
        return Ratio(value, (float(slower[0].min() / faster[0].max()), float(slower[0].max() / faster[0].min())))
    draws = _generator().integers(0, len(ratios), size=(_REPLICATES, len(ratios)))
    low, high = _expanded_interval(np.median(ratios[draws], axis=1), len(ratios))
    factor = _resemblance_factor(np.log(ratios))
    return Ratio(value, (value * (low / value) ** factor, value * (high / value) ** factor))


def paired_drop_bound(float_values: Sequence[float], candidate_values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean of ``float - candidate`` over the same samples: positive is a drop.

    Student's t of the paired differences (matched pairs: what both get right or wrong cancels out). Where no pair differs, the
    standard error says nothing; the interval is then plus or minus 3/n of the largest magnitude that occurs ("rule of three":
    Hanley and Lippman-Hand, JAMA 249, 1983). One pair tells nothing: minus to plus infinity.

    Raises:
        ValueError: no samples, different numbers of them, or one that is not finite.
    """
    ours, theirs = np.asarray(float_values, dtype=np.float64), np.asarray(candidate_values, dtype=np.float64)
    if ours.ndim != 1 or ours.shape != theirs.shape or ours.size == 0:
        raise ValueError(f"values must be two lists of equal length, not of {ours.size} and {theirs.size}")
    differences = ours - theirs
    if not np.isfinite(differences).all():
        raise ValueError("values must be finite")
    n = len(differences)
    if n == 1:
        return -math.inf, math.inf
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    if not differences.any():
        margin = min(3.0 / n, 1.0) * float(max(np.abs(ours).max(), np.abs(theirs).max()))
    else:
        margin = student_t_975(n - 1) * error
    return mean - margin, mean + margin


def relative_spread(values: Floats) -> float:
    """Median absolute deviation over the median, scaled to a standard deviation for normal values (1.4826)."""
    centre = float(np.median(values))
    return 0.0 if centre == 0 else float(1.4826 * np.median(np.abs(values - centre)) / abs(centre))


# ---------------------------------------------------------------- the bootstrap
def _resemblance_factor(values: Floats) -> float:
    """How much wider an interval must be because successive values resemble one another; 1 where that is not seen.

    A bootstrap over rounds takes them as independent. Drift that is common to both candidates cancels out in their ratio; what
    only one of them meets does not (its clock, its memory's neighbours). With an autocorrelation r at lag 1, n values tell as much
    as n (1 - r) / (1 + r) independent ones. r is estimated too low from few values, so it is corrected (Kendall, "Note on bias in
    the estimation of autocorrelation", Biometrika 41, 1954), and used only where white noise would reach it in one run of twenty.
    """
    n = len(values)
    deviations = values - values.mean()
    power = float(deviations @ deviations)
    if n < _LEAST_FOR_RESEMBLANCE or power == 0:
        return 1.0
    found = float(deviations[1:] @ deviations[:-1]) / power
    if found < NormalDist().inv_cdf(0.95) / math.sqrt(n):
        return 1.0
    corrected = min(_MOST_RESEMBLANCE, (n * found + 1) / (n - 3))
    independent = n * (1 - corrected) / (1 + corrected)
    return math.sqrt(n / independent) * student_t_975(max(3, int(independent))) / student_t_975(n - 1)


def checked(rounds: Rounds) -> list[Floats]:
    """The rounds as arrays.

    Raises:
        ValueError: no rounds, an empty one, or a sample that is no time.
    """
    arrays = [np.asarray(one_round, dtype=np.float64) for one_round in rounds]
    if not arrays or any(array.size == 0 for array in arrays):
        raise ValueError("a measurement needs at least one round, and every round a sample")
    if not all(np.isfinite(array).all() and (array > 0).all() for array in arrays):
        raise ValueError("a sample must be a positive time")
    return arrays


def _generator() -> np.random.Generator:
    return np.random.default_rng(_SEED)


def _bootstrap_medians(arrays: Sequence[Floats], samples: Floats) -> Floats:
    """Medians of all samples of resampled rounds.

    A resampled set of rounds is a count a round. How many samples lie at or below a value is then a sum over rounds of that
    count times the round's own number, so the median of each replicate is found on a grid of values without putting samples
    together.
    """
    positions = np.linspace(0, len(samples) - 1, min(_GRID, len(samples))).round().astype(np.int64)
    grid = samples[positions]
    below = np.array([np.searchsorted(np.sort(array), grid, side="right") for array in arrays], dtype=np.float64)
    sizes = np.array([len(array) for array in arrays], dtype=np.float64)
    counts = _generator().multinomial(len(arrays), np.full(len(arrays), 1 / len(arrays)), size=_REPLICATES).astype(np.float64)
    medians = np.empty(_REPLICATES)
    for start in range(0, _REPLICATES, 250):  # a block at a time keeps the table small
        block = counts[start : start + 250]
        reached = 2 * (block @ below) >= (block @ sizes)[:, None]
        medians[start : start + 250] = grid[reached.argmax(axis=1)]
    return medians


def _expanded_interval(replicates: Floats, units: int) -> tuple[float, float]:
    """The expanded percentile interval of bootstrap replicates over ``units`` resampled units (95 %)."""
    tail = NormalDist().cdf(-math.sqrt(units / (units - 1)) * student_t_975(units - 1))
    low, high = np.quantile(replicates, (tail, 1 - tail))
    return float(low), float(high)
