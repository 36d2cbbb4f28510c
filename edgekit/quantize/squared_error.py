"""The range with the least expected squared error of quantization, by the integral of that error over a histogram.

Values are taken to be spread evenly inside a bin. The error of a quantizer with unit steps, integrated from zero to u, is
``r / 12 + (u - r)**3 / 3`` with r the step that u is rounded to; clipped values are those whose r does not go on. So an integral
over all bins is one weighted sum over their edges, with no sampling, also where steps are finer than bins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..types import Array
from .statistics import TensorStatistics
from .types import Range

_COARSE = np.geomspace(1 / 256, 1, 49)  # fractions of what was seen
_N_FINE = 25
_ROUNDS = 4  # of improving one end after the other; two are nearly always enough


def mse_range(statistics: TensorStatistics, steps: int, *, symmetric: bool) -> Range:
    """The clip range with the least expected squared error.

    Args:
        steps: between the two ends (255), or, if symmetric, from zero to an end (127).
    """
    edges, weights = edge_weights(statistics)
    low, high = min(statistics.minimum, 0.0), max(statistics.maximum, 0.0)
    if symmetric:
        bound = _best(lambda end: _error(edges, weights, 2 * steps, -end, end), max(-low, high))
        return Range(-bound, bound)
    for _ in range(_ROUNDS):
        before = (low, high)
        if statistics.maximum > 0:
            high = _best(partial(_error, edges, weights, steps, low), statistics.maximum)
        if statistics.minimum < 0:
            low = -_best(partial(_error_below, edges, weights, steps, high), -statistics.minimum)
        if before == (low, high):
            break
    return Range(low, high)


def _best(error: Callable[[float], float], largest: float) -> float:
    """The end in (0, largest] with the least error: a coarse search over two decades, then a fine one around its best."""
    coarse = _COARSE * largest
    best = int(np.argmin([error(float(end)) for end in coarse]))
    fine = np.linspace(coarse[max(best - 1, 0)], coarse[min(best + 1, len(coarse) - 1)], _N_FINE)
    candidates = [float(coarse[best]), *map(float, fine)]
    return candidates[int(np.argmin([error(end) for end in candidates]))]


def edge_weights(statistics: TensorStatistics) -> tuple[Array, Array]:
    """(edges, weights), float64 [n]: the integral of F' over the distribution is ``sum(weights * F(edges))``.

    Edges without weight, between empty bins, are left out; the outermost are the extrema.
    """
    bins = statistics.histogram
    edges = bins.edges()
    thin = bins.width / 1024  # an extremum where its bin begins is a point, and a bin without width would weigh nothing
    edges = np.clip(edges, min(statistics.minimum, edges[1] - thin), max(statistics.maximum, edges[-2] + thin))
    widths = np.diff(edges)
    counts = bins.counts.astype(np.float64) / statistics.count
    if statistics.minimum >= 0 and len(counts):
        counts[0] = 0.0  # behind a ReLU these are zeros, which every quantizer keeps
    density = np.divide(counts, widths, out=np.zeros_like(counts), where=widths > 0)
    weights = np.concatenate([[0.0], density]) - np.concatenate([density, [0.0]])
    kept = weights != 0
    return edges[kept], weights[kept]


def expected_error(statistics: TensorStatistics, range_: Range, steps: int) -> float:
    """The mean squared error of quantizing the tensor with ``steps`` steps between the ends of ``range_``."""
    return _error(*edge_weights(statistics), steps, range_.low, range_.high)


def _error_below(edges: Array, weights: Array, steps: int, high: float, magnitude: float) -> float:
    return _error(edges, weights, steps, -magnitude, high)


def _error(edges: Array, weights: Array, steps: int, low: float, high: float) -> float:
    step = (high - low) / steps
    if not step > 0:
        return np.inf
    below = round(-low / step)  # the zero point: how many of the steps lie below zero
    u = edges / step
    r = np.clip(np.rint(u), -below, steps - below)
    u -= r
    return float(weights @ (r / 12 + u * u * u / 3)) * step**3
