from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.measure.energy import (
    MeterFacts,
    Window,
    counter_joules,
    estimate,
    mean_and_half_width,
    mean_powers_w,
    settle_s,
    window_length_s,
)

POWER = MeterFacts("ina3221", "power", {"VDD_IN": "module", "VDD_SOC": "rail"}, ("VDD_IN",), "module (VDD_IN)", 0.05, 0.001)
COUNTER = MeterFacts(
    "rapl", "counter", {"package-0": "package", "package-1": "package", "psys": "platform"}, ("package-0", "package-1"),
    "processor packages", 0.001, 1e-6, {"package-0": 100.0, "package-1": 100.0, "psys": 100.0},
)  # fmt: skip
LENGTH_S = 1.2


def steady(key: str | None, at: float, watts: tuple[float, ...], *, meter: MeterFacts = POWER, n: int = 100) -> Window:
    """A window of constant powers, read every 50 ms and a little beyond both ends."""
    times = np.arange(at - 0.04, at + LENGTH_S + 0.05, 0.05)
    values = np.tile(np.array(watts), (len(times), 1))
    if meter.kind == "counter":
        values = np.array([50.0, 99.5, 1.0]) + (times - times[0])[:, None] * np.array(watts)
        values %= 100.0
    return Window(key, at, at + LENGTH_S, 0 if key is None else n, times, values)


def bracketed(load: tuple[float, ...], idle: tuple[float, ...], *, meter: MeterFacts = POWER, repeats: int = 5) -> list[Window]:
    windows = []
    for index in range(2 * repeats + 1):
        key, watts = ("net", load) if index % 2 else (None, idle)
        windows.append(steady(key, 10.0 * index, watts, meter=meter))
    return windows


# ---------------------------------------------------------------- the plan
@pytest.mark.parametrize(
    ("period_s", "latency_s", "window_s"), [(0.001, 1e-3, 1.0), (0.01, 1e-3, 1.0), (1.0, 1e-3, 100.0), (0.1, 5.0, 50.0)]
)
def test_a_window_is_a_hundred_periods_and_ten_inferences(period_s: float, latency_s: float, window_s: float) -> None:
    assert window_length_s(period_s, latency_s) == pytest.approx(window_s)
    assert settle_s(period_s) == max(0.2, period_s)


# ---------------------------------------------------------------- one window
def test_power_is_integrated_over_uneven_readings_and_the_beginning_left_out() -> None:
    times = np.array([-0.1, 0.1, 0.25, 0.3, 0.5, 1.0, 1.1, 1.3])
    window = Window("net", 0.0, LENGTH_S, 10, times, np.stack([10 * times, np.full(8, 2.0)], axis=1))
    np.testing.assert_allclose(mean_powers_w(POWER, window), [10 * (0.25 + 1.1) / 2, 2.0])


@given(st.lists(st.floats(0, 9.9), min_size=1, max_size=30), st.floats(0, 100))
def test_a_counter_that_starts_again_counts_what_was_used(steps: list[float], start: float) -> None:
    values = (start + np.concatenate([[0.0], np.cumsum(steps)])) % 100.0
    assert counter_joules(values, 100.0) == pytest.approx(sum(steps), abs=1e-6)


def test_a_counter_that_goes_backwards_otherwise_is_refused() -> None:
    assert counter_joules([1.0, 2.5, 7.0], None) == 6.0
    with pytest.raises(ValueError, match="backwards"):
        counter_joules([3.0, 1.0], None)
    with pytest.raises(ValueError, match="backwards"):
        counter_joules([300.0, 1.0], 100.0)


def test_a_window_with_too_few_readings_says_why() -> None:
    window = replace(steady("net", 0.0, (5.0, 1.0)), failure="VDD_IN: gone")
    holed = replace(window, times=window.times[:3], values=window.values[:3])
    with pytest.raises(ValueError, match="only 0 readings: VDD_IN: gone"):
        mean_powers_w(POWER, holed)
    half = replace(window, times=window.times[:10], values=window.values[:10])
    with pytest.raises(ValueError, match="readings"):
        mean_powers_w(POWER, half)


# ---------------------------------------------------------------- the estimate
def test_gross_and_net_of_steady_powers() -> None:
    found = estimate(POWER, bracketed((7.0, 3.0), (4.0, 2.5)), "net")
    each_s = LENGTH_S / 100
    assert found.inference_s == pytest.approx(each_s)
    assert found.gross_j == pytest.approx(7 * each_s)
    assert found.net_j == pytest.approx(3 * each_s)
    assert (found.load_w, found.idle_w, found.n) == (pytest.approx(7), pytest.approx(4), 500)
    assert found.rails["VDD_SOC"].net_j == pytest.approx(0.5 * each_s)
    assert (found.rails["VDD_SOC"].in_total, found.rails["VDD_IN"].in_total) == (False, True)
    assert found.ci95 is not None
    assert found.ci95[1] - found.ci95[0] == pytest.approx(2 * 0.001 * each_s), "never finer than a step of the meter"
    assert found.gross_of_repeats == pytest.approx([7 * each_s] * 5)


def test_packages_add_up_across_a_counter_that_starts_again_and_the_platform_does_not() -> None:
    found = estimate(COUNTER, bracketed((30.0, 20.0, 90.0), (10.0, 5.0, 40.0), meter=COUNTER), "net")
    assert found.load_w == pytest.approx(50.0)
    assert found.idle_w == pytest.approx(15.0)
    assert found.net_j == pytest.approx(35.0 * LENGTH_S / 100)


def test_what_cannot_be_told_from_idle_has_no_number() -> None:
    found = estimate(POWER, bracketed((4.0005, 2.0), (4.0, 2.0)), "net")
    assert (found.net_j, found.ci95) == (None, None)
    assert found.net_reason.startswith("below resolution: 0.006 mJ with a 95 % interval of plus or minus 0.012 mJ")
    assert found.gross_j > 0
    assert found.rails["VDD_SOC"].net_j is None


def test_too_few_windows_or_none_between_idle_ones() -> None:
    with pytest.raises(ValueError, match="4 load windows could be read, 5 are needed"):
        estimate(POWER, bracketed((7.0, 3.0), (4.0, 2.5), repeats=4), "net")
    broken = bracketed((7.0, 3.0), (4.0, 2.5))
    broken[2] = replace(broken[2], times=np.zeros(0), values=np.zeros((0, 2)), failure="unplugged")
    with pytest.raises(ValueError, match=r"3 load windows .* \(only 0 readings: unplugged\)"):
        estimate(POWER, broken, "net")
    with pytest.raises(ValueError, match="not between two idle ones"):
        estimate(POWER, bracketed((7.0, 3.0), (4.0, 2.5))[1:-1:2], "net")


# ---------------------------------------------------------------- coverage
SAMPLES, RUNS, IDLE_W, NET_W = 24, 600, 4.0, 1.0


def noisy_runs() -> np.ndarray:
    """Powers of RUNS sessions of 11 windows of 24 samples: AR(1) noise of rho 0.9, a drift, and each window a little its own."""
    rng = np.random.default_rng(5)
    steps = 11 * SAMPLES
    noise = np.empty((RUNS, steps))
    noise[:, 0] = rng.normal(size=RUNS) / np.sqrt(1 - 0.81)
    for step in range(1, steps):
        noise[:, step] = 0.9 * noise[:, step - 1] + rng.normal(size=RUNS)
    drift = np.linspace(0.0, 1.0, steps) * 0.2 * IDLE_W * rng.choice([-1, 1], size=(RUNS, 1))
    own = np.repeat(rng.normal(scale=0.05, size=(RUNS, 11)), SAMPLES, axis=1)
    load = np.repeat(np.arange(11) % 2, SAMPLES) * NET_W
    return IDLE_W + drift + own + load + 0.1 * noise


def test_the_interval_covers_and_the_naive_one_does_not() -> None:
    meter = MeterFacts("m", "power", {"VDD_IN": "module"}, ("VDD_IN",), "module", 0.05, 1e-9)
    ours = naive = 0
    each_s = LENGTH_S / 100
    for powers in noisy_runs():
        windows = []
        for index, part in enumerate(powers.reshape(11, SAMPLES)):
            at = 2.0 * index
            times = at + LENGTH_S * (np.arange(SAMPLES) + 0.5) / SAMPLES
            windows.append(Window("net" if index % 2 else None, at, at + LENGTH_S, 100, times, part[:, None]))
        found = estimate(meter, windows, "net")
        net, half = (found.net_j, (found.ci95[1] - found.ci95[0]) / 2) if found.ci95 and found.net_j else (0.0, 0.0)
        ours += abs(net - NET_W * each_s) <= half
        loads = np.concatenate([window.values[:, 0] for window in windows if window.key])
        naive_net = (loads.mean() - windows[0].values[:, 0].mean()) * each_s
        naive += abs(naive_net - NET_W * each_s) <= 1.96 * loads.std(ddof=1) / np.sqrt(len(loads)) * each_s
    assert 0.90 <= ours / RUNS <= 0.975
    assert naive / RUNS < 0.6


def test_student_t_over_independent_values() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        mean, half = mean_and_half_width(rng.normal(size=5))
        covered += abs(mean) <= half
    assert 0.93 <= covered / 1000 <= 0.97
