from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.errors import IntegrityError
from edgekit.quantize.statistics import Statistics, TensorAccumulator, TensorStatistics, merge, merge_tensors
from edgekit.quantize.statistics_file import from_bytes, to_bytes
from edgekit.types import Array

FEEDS = st.lists(hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(width=32)), min_size=1, max_size=5)


def of(*arrays: Array, axis: int | None = 1) -> TensorStatistics:
    grown = TensorAccumulator(axis)
    for array in arrays:
        grown.update(array)
    return grown.freeze()


def statistics(*arrays: Array) -> Statistics:
    halves = tuple({"t": of(*arrays[side::2])} if arrays[side::2] else {} for side in (0, 1))
    return Statistics(len(arrays), (halves[0], halves[1]))


def expect_same(one: TensorStatistics, other: TensorStatistics, *, exact_sums: bool = False) -> None:
    assert (one.count, one.n_nonfinite, one.minimum, one.maximum) == (other.count, other.n_nonfinite, other.minimum, other.maximum)
    assert (one.histogram.exponent, one.histogram.first) == (other.histogram.exponent, other.histogram.first)
    np.testing.assert_array_equal(one.histogram.counts, other.histogram.counts)
    np.testing.assert_array_equal(one.channel_minimum, other.channel_minimum)
    np.testing.assert_array_equal(one.channel_maximum, other.channel_maximum)
    if exact_sums:
        assert one.sum == other.sum
    size = max(abs(one.minimum), abs(one.maximum)) * one.count if one.count else 0
    assert one.sum == pytest.approx(other.sum, rel=1e-9, abs=1e-9 * size)


@given(FEEDS, FEEDS)
def test_shards_merge_into_one_pass(first: list[Array], second: list[Array]) -> None:
    whole = statistics(*first, *second)
    for merged in (merge(statistics(*first), statistics(*second)), merge(statistics(*second), statistics(*first))):
        assert merged.n_feeds == whole.n_feeds
        expect_same(merged.tensors["t"], whole.tensors["t"])


@given(FEEDS)
def test_bytes_bring_everything_back(feeds: list[Array]) -> None:
    before = statistics(*feeds)
    after = from_bytes(to_bytes(before))
    assert after.n_feeds == before.n_feeds
    for one, other in zip(before.halves, after.halves, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            expect_same(one[name], other[name], exact_sums=True)


def test_extrema_of_channels() -> None:
    values = np.random.default_rng(0).standard_normal((5, 3, 4, 4)).astype(np.float32)
    values[:, 1] = 0
    values[0, 2, 0, 0] = np.nan
    both = of(values[:2], values[2:])
    assert both.channel_minimum is not None
    assert both.channel_maximum is not None
    np.testing.assert_array_equal(both.channel_minimum, np.nanmin(values, axis=(0, 2, 3)))
    np.testing.assert_array_equal(both.channel_maximum, np.nanmax(values, axis=(0, 2, 3)))
    assert of(values, axis=None).channel_minimum is None
    expect_same(of(values, axis=-3), of(values))


def test_the_mean() -> None:
    assert of(np.float32([[1, 2, 6]])).mean == 3
    assert of(np.float32([[np.nan]])).mean is None


def test_merging_one_is_that_one() -> None:
    one = of(np.ones((2, 3), np.float32))
    assert merge_tensors(one) is one


@pytest.mark.parametrize("damage", [b"", b"PK", b"nonsense" * 30])
def test_other_bytes_are_no_statistics(damage: bytes) -> None:
    with pytest.raises(IntegrityError):
        from_bytes(damage)


def test_bytes_that_are_not_whole() -> None:
    data = to_bytes(statistics(np.ones((2, 3, 4), np.float32)))
    for cut in range(0, len(data), 97):
        with pytest.raises(IntegrityError):
            from_bytes(data[:cut])
