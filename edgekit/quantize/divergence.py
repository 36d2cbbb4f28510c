"""The range whose quantized distribution diverges least from the one that was seen (Kullback-Leibler).

The method of Migacz, "8-bit inference with TensorRT" (GTC 2017): for a candidate range, P is the histogram with all that lies
outside added to its outermost bins, Q the histogram inside after its bins were merged into as many levels as the type has and
spread evenly over those that P fills. Two things that implementations get wrong are minded here: there must be many more bins than
levels (with as many, every range is as good as any other, and the widest is chosen), and the bin at zero, which is full behind a
ReLU and exact in every quantizer, must not outvote the rest: it counts as its neighbours do.
"""

from __future__ import annotations

import numpy as np

from ..types import Array
from .statistics import TensorStatistics
from .types import Range

_MOST_CANDIDATES = 256


def entropy_range(statistics: TensorStatistics, levels: int, *, symmetric: bool) -> Range:
    """The clip range with the least divergence.

    Args:
        levels: values that the type can store between the two ends (256), or, if symmetric, from zero to an end (128).
    """
    bins = statistics.histogram
    if symmetric:
        folded = _without_peak(bins.folded(), 0)
        bound = _best_end(folded, 0, levels) * bins.width
        return Range(-bound, bound)
    counts, zero = _without_peak(bins.counts, -bins.first), -bins.first
    first, end = 0, len(counts)
    if statistics.maximum > 0:
        end = _best_end(counts, zero, levels)
    if statistics.minimum < 0:  # the same from the other side, with the upper end as it was just found
        first = end - _best_end(_clipped(counts, end)[::-1], end - 1 - zero, levels)
    edges = bins.edges()
    return Range(min(float(edges[first]), 0.0), max(float(edges[end]), 0.0))


def _clipped(counts: Array, end: int) -> Array:
    """The counts before ``end``, the rest added to the last of them."""
    kept = counts[:end].copy()
    kept[-1] += counts[end:].sum()
    return kept


def _without_peak(counts: Array, zero: int) -> Array:
    """The counts as float64, the bin at zero as full as its neighbours on average."""
    adjusted = counts.astype(np.float64)
    near = [adjusted[i] for i in (zero - 1, zero + 1) if 0 <= i < len(counts)]
    if near:
        adjusted[zero] = min(adjusted[zero], sum(near) / len(near))
    return adjusted


def _best_end(counts: Array, zero: int, levels: int) -> int:
    """How many of the first bins to keep, at least those up to ``zero`` and one a level, so that the divergence is least."""
    n = len(counts)
    shortest = min(max(levels, zero + 1), n)
    ends = np.unique(np.linspace(shortest, n, min(_MOST_CANDIDATES, n - shortest + 1)).round().astype(np.int64))
    values = divergences(counts, ends, levels)
    return int(ends[int(np.argmin(values))])


def divergences(counts: Array, ends: Array, levels: int) -> Array:
    """KL(P || Q) in nats of keeping the first ``end`` bins, for each of ``ends``: float64 [candidates], infinite where Q is empty.

    All candidates at once, from running sums: Q is constant over the filled bins of a level, so that a level's part of the sum
    needs its total and how many of its bins are filled.
    """
    total = counts.sum()
    mass, filled, logs = (
        np.concatenate([[0.0], np.cumsum(values)]) for values in (counts, counts > 0, counts * np.log(np.maximum(counts, 1e-300)))
    )
    bounds = ends[:, None] * np.arange(levels + 1) // levels  # [candidates, levels + 1]
    inside, n_filled = np.diff(mass[bounds], axis=1), np.diff(filled[bounds], axis=1)
    outside, last = total - mass[ends], counts[ends - 1]
    n_filled[:, -1] += (last == 0) & (outside > 0)
    p_log_p = logs[ends] - last * np.log(np.maximum(last, 1e-300)) + _x_log_x(last + outside)
    p_levels = inside.copy()
    p_levels[:, -1] += outside
    q = np.divide(inside, n_filled, out=np.zeros_like(inside), where=n_filled > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cross = np.where(p_levels > 0, p_levels * np.log(q), 0.0).sum(axis=1)
        result: Array = (p_log_p - cross) / total + np.log(mass[ends] / total)
    return np.where(np.isfinite(result), result, np.inf)


def _x_log_x(values: Array) -> Array:
    result: Array = values * np.log(np.maximum(values, 1e-300))
    return result
