from __future__ import annotations

import json

import numpy as np
import pytest

from edgekit.quantize.stability import beside_held_out, calibration_report, differences, is_stable
from edgekit.quantize.statistics import Statistics, TensorAccumulator
from edgekit.types import Array


def of(*feeds: Array) -> Statistics:
    sides = []
    for side in (0, 1):
        grown = TensorAccumulator()
        for feed in feeds[side::2]:
            grown.update(feed)
        sides.append({"t": grown.freeze()} if feeds[side::2] else {})
    return Statistics(len(feeds), (sides[0], sides[1]))


def normal(seed: int, scale: float = 1.0, n: int = 200_000) -> Array:
    return (np.random.default_rng(seed).standard_normal(n) * scale).astype(np.float32)


def test_much_of_the_same_is_stable() -> None:
    fit = of(*(normal(seed) for seed in range(4)))
    assert differences(fit)["t"] < 0.1
    assert is_stable(fit)
    report = calibration_report(fit, of(normal(9)))
    assert report["warnings"] == []
    assert (report["n_unstable"], report["n_unlike"], report["unlike"]) == (0, 0, [])
    assert json.loads(json.dumps(report)) == report


def test_halves_that_differ_are_too_little_data() -> None:
    fit = of(normal(0), normal(1, 3.0))
    assert differences(fit)["t"] == pytest.approx(1 / 3, abs=0.05)
    assert not is_stable(fit)
    report = calibration_report(fit)
    assert report["n_unstable"] == 1
    assert "too small" in report["warnings"][0]
    assert report["n_unlike"] is None


def test_one_feed_says_nothing_of_stability() -> None:
    fit = of(normal(0))
    assert not is_stable(fit)
    assert "one calibration sample" in calibration_report(fit)["warnings"][0]


def test_held_out_data_of_another_kind() -> None:
    fit, other = of(normal(0), normal(1)), of(normal(2, 5.0))
    beside = beside_held_out(fit, other)["t"]
    values = other.tensors["t"]
    tensor = fit.tensors["t"]
    raw = normal(2, 5.0)
    assert beside.saturated == pytest.approx(np.mean((raw < tensor.minimum) | (raw > tensor.maximum)), rel=0.02)
    assert beside.beyond == pytest.approx(
        max(tensor.minimum - values.minimum, values.maximum - tensor.maximum) / (tensor.maximum - tensor.minimum)
    )
    assert "unlike" in calibration_report(fit, other)["warnings"][0]


def test_dead_tensors_agree() -> None:
    dead = np.zeros(10, np.float32)
    fit = of(dead, dead)
    assert is_stable(fit)
    assert beside_held_out(fit, of(dead))["t"].beyond == 0
    assert beside_held_out(fit, of(dead + 1))["t"].is_unlike


def test_infinities_are_reported() -> None:
    fit = of(np.float32([1, 2, np.inf]), np.float32([1, 2, 2]))
    assert "infinite" in calibration_report(fit)["warnings"][-1]
