"""Histograms that grow with their data and merge exactly: bins are powers of two wide and anchored at zero.

A value x falls into bin ``trunc(x / width)``: bin 0 spans (-width, width), bin 3 [3, 4) widths, bin -3 (-4, -3] widths.
Truncation makes doubling exact (``trunc(trunc(x) / 2) == trunc(x / 2)``), also where the quotient underflows, and lets both signs
be folded onto each other. The width is a function of the extrema alone, so that neither the order of the data nor how they were
split can be seen in it.
"""

from __future__ import annotations

import functools
import math
import threading
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from ..types import Array

MAX_BINS = 4096
_CHUNK = 1 << 16  # elements that are worked on at a time: large enough to hide NumPy's overhead, small enough for the caches
_LEAST_EXPONENT = -149  # float32's smallest step: finer bins would tell nothing apart
_DIRECT_EXPONENTS = range(-126, 127)  # where 2**-exponent is a normal float32, so that float32 data need no float64


@dataclass(frozen=True)
class Histogram:
    """Exact counts. ``counts[i]`` is that of bin ``first + i``; ``width == 2.0**exponent``; empty when nothing was counted.

    ``counts``: int64 [bins], of at most ``MAX_BINS``.
    """

    exponent: int
    first: int
    counts: Array

    @property
    def width(self) -> float:
        return math.ldexp(1.0, self.exponent)

    def edges(self) -> Array:
        """Where bins begin and end: float64 [bins + 1], ascending. Bin 0 is two widths wide, its neighbours are one."""
        index = np.arange(self.first, self.first + len(self.counts) + 1, dtype=np.float64)
        index[: 1 - self.first] -= 1  # bins up to 0 begin one width further out than the next one's index says
        return index * self.width

    def folded(self) -> Array:
        """Counts by magnitude: int64 [bins], bin i spans [i, i + 1) widths."""
        index = np.abs(np.arange(self.first, self.first + len(self.counts)))
        return _sum_by(index, self.counts)


def exponent_of(minimum: float, maximum: float) -> int:
    """The least exponent whose bins cover zero and both extrema with at most ``MAX_BINS``; a wider range never has a lesser one."""
    largest = max(-minimum, maximum, 0.0)
    if largest == 0:
        return _LEAST_EXPONENT
    exponent = max(math.frexp(largest)[1] - MAX_BINS.bit_length(), _LEAST_EXPONENT)
    while _n_bins(minimum, maximum, exponent) > MAX_BINS:
        exponent += 1
    return exponent


def _n_bins(minimum: float, maximum: float, exponent: int) -> int:
    return _index(max(maximum, 0.0), exponent) - _index(min(minimum, 0.0), exponent) + 1


def _index(value: float, exponent: int) -> int:
    mantissa, power = math.frexp(value)
    return math.trunc(math.ldexp(mantissa, power - exponent))


def _sum_by(index: Array, counts: Array) -> Array:
    """Sums of ``counts`` (int64) over equal ``index`` (>= 0), without the float64 that ``np.bincount`` takes weights in."""
    total = np.zeros(int(index.max()) + 1 if len(index) else 0, np.int64)
    np.add.at(total, index, counts)
    return total


class GrowingHistogram:
    """Counts what it is given, together with extrema and a sum; memory does not depend on how much that was.

    Attributes:
        count: finite values seen; ``n_nonfinite``: the others, which nothing else counts.
        minimum, maximum: infinity and minus infinity before the first value.
        total: float64 sum of the values.
    """

    def __init__(self) -> None:
        self.count = 0
        self.n_nonfinite = 0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.total = 0.0
        self._exponent = _LEAST_EXPONENT
        self._first = 0
        self._counts = np.zeros(0, np.int64)

    def update(self, array: Array) -> None:
        """Count every value of ``array``: any shape, any real type.

        Raises:
            DataError: text or complex numbers.
        """
        if array.dtype.kind not in "fiub":
            raise DataError(f"an activation of type {array.dtype} has no range", why="only real numbers can be calibrated")
        flat = np.ascontiguousarray(array).reshape(-1)
        if flat.dtype != np.float32:
            flat = flat.astype(np.float32 if flat.dtype == np.float16 else np.float64)
        for start in range(0, flat.size, _CHUNK):
            self._update_chunk(flat[start : start + _CHUNK])

    def _update_chunk(self, chunk: Array) -> None:
        minimum, maximum = float(chunk.min()), float(chunk.max())
        if not (math.isfinite(minimum) and math.isfinite(maximum)):
            finite = chunk[np.isfinite(chunk)]
            self.n_nonfinite += chunk.size - finite.size
            if finite.size:
                self._update_chunk(finite)
            return
        self._cover(minimum, maximum)
        self.count += chunk.size
        self._tally(chunk)

    def add(self, other: Histogram, *, count: int, n_nonfinite: int, extrema: tuple[float, float], total: float) -> None:
        """Count what another one has counted: as if its data had been given here."""
        self.n_nonfinite += n_nonfinite
        if not count:
            return
        self._cover(*extrema)
        self.count += count
        self.total += total
        first, counts = _coarser(other.first, other.counts, self._exponent - other.exponent)
        self._counts[first - self._first : first - self._first + len(counts)] += counts

    def freeze(self) -> Histogram:
        """The counts as they are now."""
        return Histogram(self._exponent, self._first, self._counts.copy())

    def _cover(self, minimum: float, maximum: float) -> None:
        """Make room for values between these extrema; doubles the width as often as needed."""
        if minimum >= self.minimum and maximum <= self.maximum:
            return
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        exponent = exponent_of(self.minimum, self.maximum)
        first, last = _index(min(self.minimum, 0.0), exponent), _index(max(self.maximum, 0.0), exponent)
        counts = np.zeros(last - first + 1, np.int64)
        old_first, old = _coarser(self._first, self._counts, exponent - self._exponent)
        counts[old_first - first : old_first - first + len(old)] = old
        self._exponent, self._first, self._counts = exponent, first, counts

    def _tally(self, chunk: Array) -> None:
        """Sum and counts of at most ``_CHUNK`` values, by NumPy's own loops over scratch that stays in cache."""
        scratch, n, n_bins = _scratch(), chunk.size, len(self._counts)
        exact, index, wide = scratch.exact[:n], scratch.index[:n], scratch.wide[:n]
        np.copyto(exact, chunk)
        self.total += float(np.einsum("i->", exact))  # no BLAS: its threads cost more than they bring
        if chunk.dtype == np.float32 and self._exponent in _DIRECT_EXPONENTS:
            scaled = np.multiply(chunk, np.float32(math.ldexp(1.0, -self._exponent)), out=scratch.scaled[:n])
        else:
            scaled = np.ldexp(exact, -self._exponent, out=scratch.doubles[:n])
        np.copyto(index, scaled, casting="unsafe")  # truncates, which is what bins are made of
        second = n_bins if n >= 8 * n_bins else 0  # few values are counted sooner than two sets of counters are added
        np.add(index, scratch.lanes(self._first, second)[:n], out=index)
        np.copyto(wide, index)  # the type that bincount takes without a copy of its own
        counted = np.bincount(wide, minlength=n_bins + second)
        self._counts += counted[:n_bins]
        if second:
            self._counts += counted[second:]


class _Scratch(threading.local):
    """Buffers of one thread, allocated once: fresh ones would cost more in page faults than the arithmetic on them."""

    def __init__(self) -> None:
        self.exact = np.empty(_CHUNK, np.float64)
        self.doubles = np.empty(_CHUNK, np.float64)
        self.scaled = np.empty(_CHUNK, np.float32)
        self.index = np.empty(_CHUNK, np.int32)
        self.wide = np.empty(_CHUNK, np.int64)
        self._lanes = np.empty(_CHUNK, np.int32)
        self._lanes_are = (0, -1)

    def lanes(self, first: int, second: int) -> Array:
        """What makes a bin's number the place of its counter. Every other value has counters of its own, which begin at ``second``:
        of equal values in a row (zeros behind a ReLU) each would wait for the one before.
        """
        if self._lanes_are != (first, second):
            self._lanes[0::2] = -first
            self._lanes[1::2] = second - first
            self._lanes_are = (first, second)
        return self._lanes


@functools.cache
def _scratch() -> _Scratch:
    return _Scratch()


def _coarser(first: int, counts: Array, doublings: int) -> tuple[int, Array]:
    """The same counts in bins ``2**doublings`` as wide."""
    if not len(counts) or not doublings:
        return first, counts
    index = np.arange(first, first + len(counts))
    index = np.sign(index) * (np.abs(index) >> min(doublings, 62))
    return int(index[0]), _sum_by(index - index[0], counts)
