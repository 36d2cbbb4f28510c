from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.measure.statistics import (
    _resemblance_factor,
    paired_drop_bound,
    relative_spread,
    speedup,
    student_t_975,
    summarize,
)

times = st.floats(1e-6, 10.0)
some_rounds = st.lists(st.lists(times, min_size=1, max_size=8), min_size=1, max_size=6)


def cumulative_t(t: float, degrees_of_freedom: int) -> float:
    """Student's t distribution function by integrating its density over the angle (x = sqrt(v) tan a)."""
    angles = np.linspace(-math.pi / 2, math.atan(t / math.sqrt(degrees_of_freedom)), 200_001)
    density = np.cos(angles) ** (degrees_of_freedom - 1)
    log_scale = math.lgamma((degrees_of_freedom + 1) / 2) - math.lgamma(degrees_of_freedom / 2) - 0.5 * math.log(math.pi)
    return float(np.trapezoid(density, angles) * math.exp(log_scale))


@pytest.mark.parametrize("degrees_of_freedom", [*range(1, 31), 31, 50, 400])
def test_student_t(degrees_of_freedom: int) -> None:
    assert cumulative_t(student_t_975(degrees_of_freedom), degrees_of_freedom) == pytest.approx(0.975, abs=1e-6)


def test_known_percentiles() -> None:
    latency = summarize([[float(n) for n in range(1, 51)], [float(n) for n in range(51, 102)]])
    assert (latency.p50, latency.p90, latency.p95, latency.p99) == (51.0, 91.0, 96.0, 100.0)
    assert latency.mean == 51.0
    assert latency.n == 101


def test_constant_samples_have_no_width() -> None:
    latency = summarize([[0.002] * 20] * 10)
    assert latency.ci95 == (0.002, 0.002)
    assert speedup([[0.004] * 5] * 10, [[0.002] * 9] * 10) == dataclasses.replace(speedup([[2.0]] * 3, [[1.0]] * 3), value=2.0)


def test_one_round_says_little() -> None:
    assert summarize([[1.0, 2.0, 9.0]]).ci95 == (1.0, 9.0)
    assert summarize([[3.0]]).ci95 == (3.0, 3.0)
    ratio = speedup([[2.0, 4.0]], [[1.0, 2.0]])
    assert ratio.value == 2.0
    assert ratio.ci95 == (1.0, 4.0)


def test_one_disturbed_round_does_not_move_a_speedup() -> None:
    slower = [[2.0, 2.02]] * 9 + [[20.0, 22.0]]
    ratio = speedup(slower, [[1.0, 1.01]] * 10)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.ci95[1] < 2.1


def test_drift_common_to_both_cancels_out() -> None:
    drift = [1 + 0.1 * n for n in range(10)]
    ratio = speedup([[1.5 * d] for d in drift], [[d] for d in drift])
    assert ratio.ci95 == pytest.approx((1.5, 1.5))
    assert summarize([[d] for d in drift]).ci95[1] > 1.5, "each alone drifted a lot"


@given(some_rounds)
@settings(max_examples=40)
def test_summaries_are_ordered_and_repeatable(rounds: list[list[float]]) -> None:
    latency = summarize(rounds)
    samples = [sample for one in rounds for sample in one]
    assert min(samples) <= latency.p50 <= latency.p90 <= latency.p95 <= latency.p99 <= max(samples)
    low, high = latency.ci95
    assert min(samples) <= low <= latency.p50 <= high <= max(samples)
    assert summarize(rounds) == latency


@given(st.lists(st.tuples(times, times), min_size=1, max_size=12), st.floats(0.1, 10))
@settings(max_examples=40)
def test_speedups_scale_and_turn_round(pairs: list[tuple[float, float]], factor: float) -> None:
    a, b = [[x] for x, _ in pairs], [[y] for _, y in pairs]
    ratio = speedup(a, b)
    assert ratio.ci95[0] <= ratio.value * (1 + 1e-12)
    assert ratio.value <= ratio.ci95[1] * (1 + 1e-12)
    scaled = speedup([[x * factor] for x, _ in pairs], b)
    assert scaled.value == pytest.approx(ratio.value * factor)
    assert scaled.ci95 == pytest.approx((ratio.ci95[0] * factor, ratio.ci95[1] * factor))


@pytest.mark.parametrize("rounds", [[], [[]], [[1.0], []], [[0.0]], [[-1.0]], [[math.nan]], [[math.inf]]])
def test_what_is_no_measurement_is_refused(rounds: list[list[float]]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any
        summarize(rounds)
    with pytest.raises(ValueError):  # noqa: PT011 - any
        speedup(rounds, [[1.0]])


def test_unequal_numbers_of_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        speedup([[1.0]] * 2, [[1.0]] * 3)


def coverage(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


def test_coverage_of_a_speedup_over_ten_rounds() -> None:
    """Rounds that differ by 3 %: a nominal 95 % interval covers the truth in 93 to 99.5 % of 300 simulated runs."""
    random = np.random.default_rng(7)
    hits = []
    for _ in range(300):
        common = random.lognormal(0, 0.05, 10)
        slower, faster = (
            [centre * effect * random.lognormal(0, 0.02, 30) for effect in common * random.lognormal(0, 0.03, 10)]
            for centre in (1.3, 1.0)
        )
        low, high = speedup([list(one) for one in slower], [list(one) for one in faster]).ci95
        hits.append(low <= 1.3 <= high)
    assert 0.93 <= coverage(hits) <= 0.995


ROUNDS, BURST, TRUTH = 20, 30, 1.3


def autoregressive(random: np.random.Generator, runs: int, steps: int, *, rho: float = 0.9, deviation: float = 0.05) -> np.ndarray:
    """``runs`` independent series x[t] = rho x[t-1] + e[t], stationary from the start."""
    series = random.normal(0, deviation, (runs, steps))
    series[:, 1:] *= math.sqrt(1 - rho * rho)
    for step in range(1, steps):
        series[:, step] += rho * series[:, step - 1]
    return series


def interleaved(random: np.random.Generator, noise: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Latencies [round, sample] of two candidates that take turns in a random order while the machine slows down by 20 %."""
    found = np.empty((2, ROUNDS, BURST))
    drift = 1 + 0.2 * np.arange(2 * ROUNDS * BURST).reshape(ROUNDS, 2, BURST) / (2 * ROUNDS * BURST)
    for number in range(ROUNDS):
        for turn, candidate in enumerate(random.permutation(2)):
            found[candidate, number] = (TRUTH, 1.0)[candidate] * drift[number, turn] * np.exp(noise[candidate][number])
    return found[0], found[1]


def pooled_interval(slower: np.ndarray, faster: np.ndarray) -> tuple[float, float]:
    """The naive way: a ratio of means whose samples are taken as independent."""
    ratio = slower.mean() / faster.mean()
    error = ratio * math.sqrt(sum(each.var() / each.size / each.mean() ** 2 for each in (slower, faster)))
    return ratio - 1.96 * error, ratio + 1.96 * error


def covers(interval: tuple[float, float]) -> bool:
    return interval[0] <= TRUTH <= interval[1]


def test_coverage_with_noise_that_lasts_and_a_machine_that_slows_down() -> None:
    """Autoregressive noise of rho 0.9 from inference to inference, 20 % drift over the run, 1000 runs."""
    random = np.random.default_rng(13)
    shape = (1000, ROUNDS, BURST)
    noise = [autoregressive(random, 1000, ROUNDS * BURST).reshape(shape) for _ in range(2)]
    hits, naive = [], []
    for run in range(1000):
        slower, faster = interleaved(random, (noise[0][run], noise[1][run]))
        hits.append(covers(speedup(list(slower), list(faster)).ci95))
        naive.append(covers(pooled_interval(slower, faster)))
    assert 0.90 <= coverage(hits) <= 0.98
    assert coverage(naive) < 0.60


def test_noise_common_to_both_is_no_part_of_the_interval() -> None:
    """The same noise, but of the machine: whoever runs at that moment meets it."""
    random = np.random.default_rng(17)
    machine = autoregressive(random, 300, 2 * ROUNDS).reshape(300, ROUNDS, 2)
    hits, widths = [], []
    for run in range(300):
        bursts = [np.repeat(machine[run, :, turn, None], BURST, axis=1) for turn in range(2)]
        ratio = speedup(*(list(each) for each in interleaved(random, (bursts[0], bursts[1]))))
        hits.append(covers(ratio.ci95))
        widths.append(ratio.ci95[1] - ratio.ci95[0])
    assert 0.90 <= coverage(hits) <= 0.99
    assert np.median(widths) < 0.05 * TRUTH, "a deviation of 5 % in each round, and yet"


def test_noise_that_lasts_for_rounds_makes_the_interval_wide() -> None:
    """Noise of each candidate's own that goes on from round to round: 20 rounds tell little, and the interval must say so.

    A bootstrap that takes rounds as independent covers less than half; from so few rounds the resemblance is not always seen.
    """
    random = np.random.default_rng(19)
    noise = [autoregressive(random, 300, ROUNDS) for _ in range(2)]
    hits, wide = [], []
    for run in range(300):
        own = [np.repeat(noise[candidate][run][:, None], BURST, axis=1) for candidate in range(2)]
        ratio = speedup(*(list(each) for each in interleaved(random, (own[0], own[1]))))
        hits.append(covers(ratio.ci95))
        wide.append(ratio.ci95[1] - ratio.ci95[0])
    assert coverage(hits) >= 0.80
    assert np.median(wide) > 0.2


def test_independent_rounds_are_hardly_ever_widened() -> None:
    random = np.random.default_rng(23)
    factors = [_resemblance_factor(random.normal(0, 0.02, ROUNDS)) for _ in range(500)]
    assert sum(factor > 1 for factor in factors) <= 0.06 * len(factors)
    assert _resemblance_factor(np.zeros(ROUNDS)) == 1.0
    assert _resemblance_factor(np.arange(7.0)) == 1.0


def test_coverage_of_a_median_and_the_interval_that_ignores_rounds() -> None:
    """Over rounds it covers 93 % or more of 80 simulated runs; treating samples as independent would cover less than half."""
    random = np.random.default_rng(11)
    hits, naive = [], []
    for _ in range(80):
        rounds = [effect * random.lognormal(0, 0.02, 20) for effect in random.lognormal(0, 0.05, 10)]
        low, high = summarize([list(one) for one in rounds]).ci95
        hits.append(low <= 1.0 <= high)
        pooled = np.sort(np.concatenate(rounds))
        half_width = 1.96 * math.sqrt(len(pooled)) / 2
        naive.append(bool(pooled[int(len(pooled) / 2 - half_width)] <= 1.0 <= pooled[int(len(pooled) / 2 + half_width)]))
    assert 0.93 <= coverage(hits) <= 0.998
    assert coverage(naive) < 0.6


def test_few_rounds_give_a_wide_interval() -> None:
    random = np.random.default_rng(3)
    rounds = [[float(value)] for value in random.lognormal(0, 0.05, 3)]
    low, high = summarize(rounds).ci95
    assert (low, high) == (min(rounds)[0], max(rounds)[0])


def test_a_grid_of_values_is_fine_enough_for_many_samples() -> None:
    random = np.random.default_rng(5)
    rounds = [list(effect * random.lognormal(0, 0.1, 2000)) for effect in random.lognormal(0, 0.02, 10)]
    low, high = summarize(rounds).ci95
    medians = [float(np.median(one)) for one in rounds]
    assert min(medians) <= low < high <= max(medians)
    assert high - low > 0.01


# ---------------------------------------------------------------- paired drops
def test_a_paired_drop_by_hand() -> None:
    """Differences 1, 0, 1, 0: mean 0.5, s = sqrt(1/3), half width t(3) s / 2."""
    low, high = paired_drop_bound([1, 1, 1, 1], [0, 1, 0, 1])
    assert (low + high) / 2 == pytest.approx(0.5)
    assert (high - low) / 2 == pytest.approx(3.182446 * math.sqrt(1 / 3) / 2)


def test_pairing_is_what_narrows_it() -> None:
    random = np.random.default_rng(1)
    ours = random.integers(0, 2, 600).astype(float)
    theirs = ours.copy()
    theirs[:12] = 0
    low, high = paired_drop_bound(ours, theirs)
    assert high - low < 0.02
    assert low <= float((ours - theirs).mean()) <= high


def test_no_difference_is_not_certainty() -> None:
    assert paired_drop_bound([1.0] * 300, [1.0] * 300) == pytest.approx((-0.01, 0.01))
    assert paired_drop_bound([0.0, 0.0], [0.0, 0.0]) == (0.0, 0.0)
    assert paired_drop_bound([1.0], [0.0]) == (-math.inf, math.inf)


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0]), ([math.nan, 1.0], [1.0, 1.0])])
def test_what_cannot_be_paired_is_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any
        paired_drop_bound(ours, theirs)


def test_coverage_of_a_paired_drop() -> None:
    random = np.random.default_rng(2)
    hits = []
    for _ in range(500):
        ours = (random.random(500) < 0.85).astype(float)
        theirs = np.where(random.random(500) < 0.06, random.random(500) < 0.5, ours)
        truth = 0.06 * (0.85 - 0.5)
        low, high = paired_drop_bound(list(ours), list(theirs))
        hits.append(low <= truth <= high)
    assert 0.92 <= coverage(hits) <= 0.98


def test_relative_spread_of_normal_values_is_their_deviation() -> None:
    values = np.random.default_rng(0).normal(10, 0.3, 20_000)
    assert relative_spread(values) == pytest.approx(0.03, rel=0.05)
