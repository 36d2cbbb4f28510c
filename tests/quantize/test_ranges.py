from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.errors import DataError, ModelError
from edgekit.quantize.affine import affine_of, fake_quantize
from edgekit.quantize.divergence import divergences
from edgekit.quantize.ranges import METHODS, activation_range, ranges_for
from edgekit.quantize.squared_error import expected_error
from edgekit.quantize.statistics import TensorAccumulator, TensorStatistics
from edgekit.quantize.types import Placement, Range, RangeMethod
from edgekit.types import Array

_RANDOM = np.random.default_rng(3)
_NORMAL = _RANDOM.standard_normal(60_000)
DATA: dict[str, Array] = {
    "normal": _NORMAL,
    "relu": np.maximum(_NORMAL, 0),
    "shifted": np.maximum(_NORMAL, -0.4) * 3,
    "laplace": _RANDOM.laplace(size=60_000),
    "outlier": np.concatenate([_NORMAL, [60.0]]),
    "negative": -np.abs(_NORMAL),
    "uniform": _RANDOM.random(60_000),
}


def statistics(values: Array) -> TensorStatistics:
    grown = TensorAccumulator()
    grown.update(np.asarray(values, np.float32))
    return grown.freeze()


def squared_error(values: Array, range_: Range, *, symmetric: bool) -> float:
    values = values.astype(np.float32)
    quantized = fake_quantize(values, affine_of(range_, "int8", symmetric=symmetric))
    return float(np.mean(np.square(values.astype(np.float64) - quantized)))


@given(
    hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.sampled_from(METHODS),
    st.sampled_from(["uint8", "int8"]),
    st.booleans(),
)
def test_every_range_contains_zero_and_nothing_unseen(values: Array, method: RangeMethod, dtype: str, symmetric: bool) -> None:
    found = activation_range(statistics(values), method, dtype=dtype, symmetric=symmetric)  # type: ignore[arg-type]
    assert min(float(values.min()), 0) <= found.low <= 0 <= found.high <= max(float(values.max()), 0)
    affine_of(found, dtype, symmetric=symmetric)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DATA)
def test_minmax(name: str) -> None:
    values = DATA[name].astype(np.float32)
    found = activation_range(statistics(values), "minmax", dtype="uint8", symmetric=False)
    assert found == Range(min(float(values.min()), 0.0), max(float(values.max()), 0.0))


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99])
@pytest.mark.parametrize("name", DATA)
def test_percentile_against_sorting(name: str, percentile: float) -> None:
    values = np.sort(DATA[name].astype(np.float32))
    seen = statistics(values)
    tail = (100 - percentile) / (200 if values[0] < 0 < values[-1] else 100)
    cut = int(tail * len(values))
    expected = Range(min(float(values[cut]), 0.0), max(float(values[-1 - cut]), 0.0))
    found = activation_range(seen, "percentile", dtype="uint8", symmetric=False, percentile=percentile)
    assert found.high == pytest.approx(expected.high, abs=2 * seen.histogram.width)
    assert found.low == pytest.approx(expected.low, abs=2 * seen.histogram.width)
    magnitudes = np.sort(np.abs(values))
    bound = float(magnitudes[-1 - int((100 - percentile) / 100 * len(values))])
    both = activation_range(seen, "percentile", dtype="int8", symmetric=True, percentile=percentile)
    assert max(-both.low, both.high) == pytest.approx(bound, abs=2 * seen.histogram.width)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("name", DATA)
def test_the_expected_error_is_the_real_one(name: str, symmetric: bool) -> None:
    seen = statistics(DATA[name])
    for factor in (1.0, 0.6, 0.3):
        bound = factor * max(-seen.minimum, seen.maximum)
        range_ = Range(-bound, bound) if symmetric else Range(min(seen.minimum, 0.0) * factor, max(seen.maximum, 0.0) * factor)
        real = squared_error(DATA[name], range_, symmetric=symmetric)
        assert expected_error(seen, range_, 254 if symmetric else 255) == pytest.approx(real, rel=0.1)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("name", DATA)
def test_mse_against_brute_force(name: str, symmetric: bool) -> None:
    values, seen = DATA[name], statistics(DATA[name])
    found = activation_range(seen, "mse", dtype="int8", symmetric=symmetric)
    fractions = np.geomspace(0.03, 1, 24)
    low, high = min(seen.minimum, 0.0), max(seen.maximum, 0.0)
    tried = (
        [Range(-f * max(-low, high), f * max(-low, high)) for f in fractions]
        if symmetric
        else [Range(f * low, g * high) for f in (fractions if low < 0 else [1.0]) for g in (fractions if high > 0 else [1.0])]
    )
    best = min(squared_error(values, range_, symmetric=symmetric) for range_ in tried)
    assert squared_error(values, found, symmetric=symmetric) <= best * 1.03


def reference_divergence(counts: Array, end: int, levels: int) -> float:
    """One candidate as it is written down in the talk that the method comes from, bin by bin."""
    p = counts[:end].astype(np.float64)
    p[-1] += counts[end:].sum()
    q = np.zeros(end)
    for level in range(levels):
        a, b = end * level // levels, end * (level + 1) // levels
        filled = p[a:b] > 0
        if filled.any():
            q[a:b][filled] = counts[a:b].sum() / filled.sum()
    p, q = p / p.sum(), q / q.sum()
    used = p > 0
    if (q[used] == 0).any():
        return float("inf")
    return float(np.sum(p[used] * np.log(p[used] / q[used])))


@given(st.lists(st.integers(0, 50), min_size=24, max_size=80), st.integers(2, 12))
def test_divergence_against_the_definition(counts: list[int], levels: int) -> None:
    array = np.array(counts, np.float64)
    ends = np.arange(levels, len(counts) + 1)
    ends = ends[[array[:end].sum() > 0 for end in ends]]
    if not len(ends):
        return
    found = divergences(array, ends, levels)
    expected = [reference_divergence(array, int(end), levels) for end in ends]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("symmetric", [False, True])
def test_entropy_leaves_outliers_out(symmetric: bool) -> None:
    """The case that a histogram with as many bins as levels cannot see: there the widest range always wins."""
    found = activation_range(statistics(DATA["outlier"]), "entropy", dtype="int8", symmetric=symmetric)
    assert 2.5 < found.high < 10


def test_entropy_keeps_what_is_evenly_spread() -> None:
    found = activation_range(statistics(DATA["uniform"]), "entropy", dtype="uint8", symmetric=False)
    assert found.high > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_special_tensors(method: RangeMethod) -> None:
    for symmetric in (False, True):
        of = lambda values: activation_range(statistics(values), method, dtype="int8", symmetric=symmetric)  # noqa: E731, B023
        assert of(np.zeros(5)) == Range(0.0, 0.0)
        assert of(np.full(5, 2.5)).high == pytest.approx(2.5, rel=1e-3)
        assert of(np.full(5, -2.5)).low == pytest.approx(-2.5, rel=1e-3)
        denormal = of(np.float32([1e-45, 1e-40]))
        assert 0 <= denormal.high <= 1e-40
        infinite = of(np.float32([np.inf, 1.0, -np.inf, np.nan]))
        assert 0.9 < infinite.high <= 1.0


def test_nothing_finite_has_no_range() -> None:
    with pytest.raises(ModelError, match="no range"):
        activation_range(statistics(np.float32([np.nan])), "minmax", dtype="int8", symmetric=True)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ({"b": statistics(np.float32([np.nan, np.inf]))}, "2 values in calibration were infinite or NaN"),
        ({"b": statistics(np.zeros(0, np.float32))}, "was not seen"),
        ({}, "was not seen"),
    ],
    ids=["never finite", "always empty", "unknown"],
)
def test_what_was_never_seen_is_named(seen: dict[str, TensorStatistics], why: str) -> None:
    with pytest.raises(ModelError, match=f"'b' has no range: .*{why}"):
        ranges_for({"a": statistics(np.ones(3)), **seen}, ["a", "b"], Placement("test", {}), "mse")


@pytest.mark.parametrize("percentile", [0.0, 50.0, 100.5])
def test_percentiles_that_make_no_sense(percentile: float) -> None:
    with pytest.raises(DataError, match="percentile"):
        activation_range(statistics(np.ones(3)), "percentile", dtype="int8", symmetric=True, percentile=percentile)
