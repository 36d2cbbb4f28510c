"""The measurement loop against a clock that only the inferences move: what a busy machine adds to a sleep decides nothing here."""

from __future__ import annotations

import gc
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.agent import timing
from edgekit.agent.timing import SETTLED_N, burst, is_steady, warm_up


class Clock:
    """Stands in for the module ``time``; it stands still until somebody sleeps."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    def perf_counter_ns(self) -> int:
        return self.now_ns

    def perf_counter(self) -> float:
        return self.now_ns * 1e-9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_a_warm_up_goes_on_until_it_is_steady(clock: Clock) -> None:
    calls = []

    def run() -> None:
        calls.append(1)
        clock.sleep(max(0.001, 0.02 * 0.8 ** len(calls)))

    done = warm_up(run, window_s=0.005, window_min_n=3, max_s=20.0, tolerance=0.5)
    assert done["steady"]
    assert done["n"] == len(calls) > 10, "the first ten get a fifth faster each"
    assert 0.02 * sum(0.8**n for n in range(1, 11)) < done["elapsed_s"] < 0.15


def test_a_warm_up_that_never_settles_ends_and_says_so(clock: Clock) -> None:
    delays = iter([0.002 * 1.5**n for n in range(100)])
    done = warm_up(lambda: clock.sleep(next(delays)), window_s=0.0, window_min_n=1, max_s=0.1, tolerance=0.03)
    assert not done["steady"]
    assert 0.1 <= done["elapsed_s"] < 0.2, "one inference over the limit, not more"


def test_noise_is_not_waited_out_where_thousands_of_inferences_were_run(clock: Clock) -> None:
    delays = itertools.cycle([0.0001] * 10 + [0.0002] * 10)
    done = warm_up(lambda: clock.sleep(next(delays)), window_s=0.001, window_min_n=3, max_s=1.0, tolerance=0.03)
    assert not done["steady"]
    assert 0.25 <= done["elapsed_s"] < 0.32, "2,000 inferences take 0.3 s"
    assert done["n"] >= SETTLED_N


def test_one_slow_inference_is_enough_when_the_time_is_over(clock: Clock) -> None:
    done = warm_up(lambda: clock.sleep(0.05), window_s=0.1, window_min_n=3, max_s=0.01, tolerance=0.03)
    assert done["n"] == 1


def test_the_clock_is_the_real_one() -> None:
    done = warm_up(lambda: time.sleep(0.005), window_s=0.02, window_min_n=3, max_s=0.1, tolerance=0.03)
    assert done["elapsed_s"] >= 0.1 or done["steady"]
    assert done["n"] * 0.005 <= done["elapsed_s"]
    assert all(0.002 <= sample < 5 for sample in burst(lambda: time.sleep(0.002), duration_s=0.01, min_n=3, max_n=5, settle_n=0))


@given(st.lists(st.floats(1e-6, 10), max_size=6), st.floats(0, 0.5))
def test_steady_is_about_the_last_three_windows(medians: list[float], tolerance: float) -> None:
    last = medians[-3:]
    assert is_steady(medians, tolerance) == (len(last) == 3 and max(last) - min(last) <= tolerance * min(last))


def test_a_burst_counts_and_times(clock: Clock) -> None:
    calls = []

    def run() -> None:
        calls.append(gc.isenabled())
        clock.sleep(0.002)

    samples = burst(run, duration_s=0.03, min_n=3, max_n=100, settle_n=2)
    assert len(calls) == len(samples) + 2 == 17
    assert list(samples) == pytest.approx([0.002] * 15)
    assert not any(calls[2:]), "no collection while it is measured"
    assert gc.isenabled()
    assert len(burst(run, duration_s=0.0, min_n=4, max_n=100, settle_n=0)) == 4
    assert len(burst(run, duration_s=10.0, min_n=1, max_n=5, settle_n=0)) == 5


def test_the_collector_comes_back_after_a_failure() -> None:
    def run() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - any
        burst(run, duration_s=1.0, min_n=1, max_n=2, settle_n=0)
    assert gc.isenabled()
