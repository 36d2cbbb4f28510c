"""What calibration keeps of each tensor: enough for every way of choosing a range, of a size that does not depend on the data.

Statistics of two shards of the data merge into those of all of it: counts and extrema exactly, sums up to the order of addition.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..types import Array
from .histogram import GrowingHistogram, Histogram

TensorMap = Mapping[str, "TensorStatistics"]


@dataclass(frozen=True, eq=False)
class TensorStatistics:
    """One tensor over all feeds.

    Attributes:
        count: finite values seen; ``n_nonfinite``: infinities and NaN, which nothing else here counts.
        minimum, maximum: of the finite values; infinity and minus infinity where there are none.
        sum: float64, of the finite values.
        channel_axis: along which channels were told apart, as it was asked for; None where it was not.
        channel_minimum, channel_maximum: float64 [channels], or None; NaN is passed over, infinities are not.
    """

    count: int
    n_nonfinite: int
    minimum: float
    maximum: float
    sum: float
    histogram: Histogram
    channel_axis: int | None = None
    channel_minimum: Array | None = None
    channel_maximum: Array | None = None

    @property
    def mean(self) -> float | None:
        """The mean of the finite values; None where there are none."""
        return self.sum / self.count if self.count else None


class TensorAccumulator:
    """Grows the statistics of one tensor. ``axis``: of its channels, whose extrema are kept apart; None keeps none."""

    def __init__(self, axis: int | None = None) -> None:
        self._axis = axis
        self._histogram = GrowingHistogram()
        self._channels: tuple[Array, Array] | None = None

    def update(self, array: Array) -> None:
        """Count one value of the tensor; see :meth:`GrowingHistogram.update` for what it raises."""
        self._histogram.update(array)
        if self._axis is not None and array.size:
            others = tuple(axis for axis in range(array.ndim) if axis != self._axis % array.ndim)
            low, high = np.fmin.reduce(array, axis=others), np.fmax.reduce(array, axis=others)
            self._extend(low.astype(np.float64), high.astype(np.float64))

    def add(self, other: TensorStatistics) -> None:
        """Count all that ``other`` has counted."""
        self._histogram.add(
            other.histogram,
            count=other.count,
            n_nonfinite=other.n_nonfinite,
            extrema=(other.minimum, other.maximum),
            total=other.sum,
        )
        if other.channel_minimum is not None and other.channel_maximum is not None:
            self._extend(other.channel_minimum, other.channel_maximum)

    def _extend(self, low: Array, high: Array) -> None:
        if self._channels is not None:
            low, high = np.fmin(self._channels[0], low), np.fmax(self._channels[1], high)
        self._channels = (low, high)

    def freeze(self) -> TensorStatistics:
        """The statistics so far."""
        grown = self._histogram
        low, high = self._channels or (None, None)
        return TensorStatistics(
            count=grown.count,
            n_nonfinite=grown.n_nonfinite,
            minimum=grown.minimum,
            maximum=grown.maximum,
            sum=grown.total,
            histogram=grown.freeze(),
            channel_axis=self._axis,
            channel_minimum=low,
            channel_maximum=high,
        )


@dataclass(frozen=True, eq=False)
class Statistics:
    """Every calibrated tensor over ``n_feeds`` feeds.

    ``halves``: those of the feeds at even and at odd places, so that the two can be compared; the second may be empty.
    """

    n_feeds: int
    halves: tuple[TensorMap, TensorMap] = field(repr=False)

    @cached_property
    def tensors(self) -> dict[str, TensorStatistics]:
        """{tensor: its statistics over all feeds}."""
        even, odd = self.halves
        return {name: merge_tensors(*(half[name] for half in (even, odd) if name in half)) for name in {**even, **odd}}

    def only(self, names: Collection[str]) -> Statistics:
        """Those of ``names`` alone."""
        even, odd = ({name: half[name] for name in half if name in names} for half in self.halves)
        return Statistics(self.n_feeds, (even, odd))

    def beside(self, other: Statistics) -> Statistics:
        """The tensors of both, over the same feeds; where both have one, ``other``'s."""
        assert self.n_feeds == other.n_feeds, "statistics of one set of feeds"
        even, odd = ({**mine, **theirs} for mine, theirs in zip(self.halves, other.halves, strict=True))
        return Statistics(self.n_feeds, (even, odd))


def merge_tensors(*parts: TensorStatistics) -> TensorStatistics:
    """The statistics of all parts' data together."""
    if len(parts) == 1:
        return parts[0]
    total = TensorAccumulator(parts[0].channel_axis)
    for part in parts:
        total.add(part)
    return total.freeze()


def merge(*shards: Statistics) -> Statistics:
    """The statistics of all shards' feeds together; the shards may have been made anywhere, in any order."""
    halves: list[dict[str, TensorStatistics]] = []
    for side in (0, 1):
        names = dict.fromkeys(name for shard in shards for name in shard.halves[side])
        halves.append(
            {name: merge_tensors(*(shard.halves[side][name] for shard in shards if name in shard.halves[side])) for name in names}
        )
    return Statistics(sum(shard.n_feeds for shard in shards), (halves[0], halves[1]))
