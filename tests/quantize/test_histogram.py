from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.errors import DataError
from edgekit.quantize import histogram as module
from edgekit.quantize.histogram import MAX_BINS, GrowingHistogram, exponent_of
from edgekit.types import Array

ANY32 = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=20), elements=st.floats(width=32))
ANY64 = hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=20), elements=st.floats(-1e150, 1e150))


def counted(*arrays: Array) -> GrowingHistogram:
    grown = GrowingHistogram()
    for array in arrays:
        grown.update(array)
    return grown


def brute_force(values: Array, exponent: int) -> dict[int, int]:
    """{bin: count} in exact arithmetic."""
    found: dict[int, int] = {}
    for value in values.ravel().tolist():
        if math.isfinite(value):
            numerator, denominator = value.as_integer_ratio()
            size = abs(numerator) * 2 ** max(-exponent, 0) // (denominator * 2 ** max(exponent, 0))
            index = size if value > 0 else -size
            found[index] = found.get(index, 0) + 1
    return found


def as_dict(grown: GrowingHistogram) -> dict[int, int]:
    bins = grown.freeze()
    return {bins.first + i: int(n) for i, n in enumerate(bins.counts) if n}


@given(ANY32 | ANY64)
def test_exact_counts(values: Array) -> None:
    grown = counted(values)
    bins = grown.freeze()
    finite = values[np.isfinite(values)].astype(np.float64)
    assert grown.count == finite.size
    assert grown.n_nonfinite == values.size - finite.size
    assert as_dict(grown) == brute_force(values, bins.exponent)
    assert len(bins.counts) <= MAX_BINS
    if finite.size:
        assert (grown.minimum, grown.maximum) == (finite.min(), finite.max())
        assert grown.total == pytest.approx(math.fsum(finite), rel=1e-9, abs=1e-9 * np.abs(finite).sum())


@given(st.lists(ANY32, min_size=1, max_size=6), st.randoms())
def test_neither_order_nor_split_matters(parts: list[Array], random: object) -> None:
    whole = counted(np.concatenate([part.ravel() for part in parts]))
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one_by_one = counted(*shuffled)
    merged = GrowingHistogram()
    for part in shuffled:
        shard = counted(part)
        merged.add(
            shard.freeze(),
            count=shard.count,
            n_nonfinite=shard.n_nonfinite,
            extrema=(shard.minimum, shard.maximum),
            total=shard.total,
        )
    size = sum(float(np.abs(part[np.isfinite(part)].astype(np.float64)).sum()) for part in parts)
    for other in (one_by_one, merged):
        assert (other.freeze().exponent, other.freeze().first) == (whole.freeze().exponent, whole.freeze().first)
        np.testing.assert_array_equal(other.freeze().counts, whole.freeze().counts)
        assert (other.count, other.n_nonfinite) == (whole.count, whole.n_nonfinite)
        assert (other.minimum, other.maximum) == (whole.minimum, whole.maximum)
        assert other.total == pytest.approx(whole.total, rel=1e-9, abs=1e-9 * size)


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300), st.floats(1, 1e6))
def test_the_width_only_grows_with_the_range(one: float, other: float, factor: float) -> None:
    low, high = min(one, other), max(one, other)
    wider = (min(low, 0) * factor, max(high, 0) * factor)
    assert exponent_of(low, high) <= exponent_of(*wider)


def test_a_full_histogram_has_enough_bins_to_choose_a_range_from() -> None:
    for scale in (1e-30, 1.0, 1e30):
        bins = counted(np.float32([-0.7, 1.0]) * np.float32(scale)).freeze()
        assert MAX_BINS / 4 < len(bins.counts) <= MAX_BINS


@given(ANY32)
def test_edges_enclose_what_they_count(values: Array) -> None:
    bins = counted(values).freeze()
    edges = bins.edges()
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        assert not len(bins.counts)
        return
    assert len(edges) == len(bins.counts) + 1
    assert np.all(np.diff(edges) > 0)
    assert edges[0] <= finite.min()
    assert finite.max() <= edges[-1]
    assert bins.folded().sum() == finite.size


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, np.uint8, np.bool_])
def test_other_types(dtype: type[np.generic]) -> None:
    values = np.array([0, 1, 1, 0, 1], dtype)
    assert as_dict(counted(values)) == as_dict(counted(values.astype(np.float32)))


def test_large_arrays_go_through_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).standard_normal((7, 31_013)).astype(np.float32)
    grown = counted(values)
    assert values.size > module._CHUNK
    assert as_dict(grown) == brute_force(values, grown.freeze().exponent)
    strided = counted(values.T[::2])
    assert as_dict(strided) == brute_force(values.T[::2], strided.freeze().exponent)


def test_text_is_refused() -> None:
    with pytest.raises(DataError, match="only real numbers"):
        counted(np.array(["a"]))


def test_nothing_at_all() -> None:
    grown = counted(np.zeros((0, 3), np.float32), np.float32([np.nan, np.inf]))
    assert (grown.count, grown.n_nonfinite, len(grown.freeze().counts)) == (0, 2, 0)
    assert grown.freeze().edges().shape[0] <= 1
