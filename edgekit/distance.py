"""How far the same artifact's outputs lie apart on two machines, or in two formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .types import Array


def distance(expected: Array, found: Array) -> tuple[float, float] | None:
    """How far two outputs lie apart at most, and the largest finite magnitude that is ``expected``; None where their shapes differ,
    or where one is not finite and the other not the same.
    """
    a, b = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    finite = np.isfinite(a)
    if a.shape != b.shape or not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(b[finite]).all():
        return None
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0)), float(np.abs(a[finite]).max(initial=0.0))


def fraction(difference_: float, magnitude: float) -> float:
    """Of an output that is zero everywhere any difference is as large as it can be told."""
    if difference_ == 0:
        return 0.0
    return difference_ / max(magnitude, 1e-12)
