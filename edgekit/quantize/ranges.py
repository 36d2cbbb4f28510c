"""From statistics to a range: four ways to choose what an activation is taken to span, all from the same histogram."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import DataError, ModelError
from ..types import Array
from .affine import STORED, SYMMETRIC_STEPS, ActivationType
from .divergence import entropy_range
from .squared_error import mse_range
from .statistics import TensorStatistics
from .types import Placement, Range, RangeMethod

METHODS: tuple[RangeMethod, ...] = ("minmax", "percentile", "mse", "entropy")
PERCENTILE = 99.99


def ranges_for(
    statistics: Mapping[str, TensorStatistics], tensors: Iterable[str], placement: Placement, method: RangeMethod
) -> dict[str, Range]:
    """What each of ``tensors`` is taken to span, stored as ``placement`` stores activations; see :func:`activation_range`.

    Raises:
        ModelError: one of them had no finite value in calibration, perhaps because that part of the model never ran.
    """
    found = {}
    for name in tensors:
        seen = statistics.get(name)
        if seen is None or not seen.count:
            n_odd = seen.n_nonfinite if seen else 0
            raise ModelError(
                f"the activation {name!r} has no range",
                why=f"its {n_odd} values in calibration were infinite or NaN" if n_odd else "it was not seen during calibration",
                hint="give calibration data on which every part of the model runs",
            )
        found[name] = activation_range(seen, method, dtype=placement.activation_type, symmetric=placement.activation_symmetric)
    return found


def activation_range(
    statistics: TensorStatistics, method: RangeMethod, *, dtype: ActivationType, symmetric: bool, percentile: float = PERCENTILE
) -> Range:
    """What the tensor is taken to span when stored as ``dtype``.

    Every range contains zero, and none is wider than what was seen. With ``symmetric`` the larger magnitude decides, and the other
    end stands where the values end.

    Args:
        method: "minmax", all that was seen; "percentile", all but the outermost ``100 - percentile`` percent of the values, half of
            them at each end where the values have two signs; "mse", the least expected squared error of quantization; "entropy",
            the least divergence of the quantized distribution from the one seen.

    Raises:
        ModelError: no finite value was seen.
        DataError: ``percentile`` is not in (50, 100].
    """
    if not 50 < percentile <= 100:
        raise DataError(f"{percentile:g} is no percentile to cut activations at", hint="use a number above 50, up to 100")
    if not statistics.count:
        raise ModelError("a tensor without a finite value has no range", why=f"{statistics.n_nonfinite} values were not finite")
    seen = Range(min(statistics.minimum, 0.0), max(statistics.maximum, 0.0))
    if method == "minmax" or seen.low == seen.high:
        return seen
    least, greatest = STORED[dtype]
    steps = SYMMETRIC_STEPS if symmetric else greatest - least
    if method == "percentile":
        found = percentile_range(statistics, percentile, symmetric=symmetric)
    elif method == "mse":
        found = mse_range(statistics, steps, symmetric=symmetric)
    else:
        found = entropy_range(statistics, steps + 1, symmetric=symmetric)
    return Range(max(found.low, seen.low), min(found.high, seen.high))


def percentile_range(statistics: TensorStatistics, percentile: float, *, symmetric: bool) -> Range:
    """Ends of the bins that hold ``percentile`` percent of the values; at most one bin wider at each end than the values' own."""
    tail = (100 - percentile) / 100
    bins = statistics.histogram
    if symmetric:
        folded = bins.folded()
        bound = (_last_needed(folded, tail * statistics.count) + 1) * bins.width
        return Range(-bound, bound)
    two_signs = statistics.minimum < 0 < statistics.maximum
    cut = tail * statistics.count / (2 if two_signs else 1)
    edges = bins.edges()
    high = edges[_last_needed(bins.counts, cut) + 1] if statistics.maximum > 0 else 0.0
    first = len(bins.counts) - 1 - _last_needed(bins.counts[::-1], cut)
    low = edges[first] if statistics.minimum < 0 else 0.0
    return Range(min(float(low), 0.0), max(float(high), 0.0))


def _last_needed(counts: Array, cut: float) -> int:
    """The bin behind which at most ``cut`` values lie, and which itself cannot be cut off."""
    behind = np.cumsum(counts[::-1])[::-1]  # in this bin and all behind it
    needed = np.flatnonzero(behind > cut)
    return int(needed[-1]) if len(needed) else 0
