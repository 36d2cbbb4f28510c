"""Image resizing with the arithmetic written down, so that wrappers in other languages give the same bits.

Separable convolution, horizontal pass first, half-pixel centres: output pixel ``i`` looks at ``(i + 0.5) * input / output`` in the
input. With ``antialias`` the filter is widened by the scale when shrinking. Each pass is the one that Pillow makes (its
``Resample.c``), in the same fixed point; ``docs/preprocess.md`` states it in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.generic]  # uint8, or float64 where nothing is rounded
Filter = Literal["nearest", "bilinear", "bicubic"]
Taps = Sequence[tuple[int, Sequence[float]]]  # for each output position: the first input position, and the weights from there on

FIXED_POINT_BITS = 22  # 32 bits less 8 of the pixel, one of the sign and one for the overshoot of the cubic
_CUBIC_A = -0.5  # Catmull-Rom (Keys 1981)


def resize(image: Pixels, height: int, width: int, method: Filter, *, antialias: bool, round_to_uint8: bool) -> Levels:
    """``image`` (H, W, C) uint8 as (height, width, C).

    uint8 when ``round_to_uint8`` (rounded and clipped to 0..255 after each pass) or when ``method`` is nearest; otherwise float64,
    neither rounded nor clipped.
    """
    if method == "nearest":
        return image[nearest_indices(image.shape[0], height)][:, nearest_indices(image.shape[1], width)]
    one_pass = _fixed_point_pass if round_to_uint8 else _float_pass
    columns_first = np.ascontiguousarray(image.swapaxes(0, 1))
    across = one_pass(columns_first, taps(image.shape[1], width, method, antialias=antialias))
    rows_first = np.ascontiguousarray(across.swapaxes(0, 1))
    return one_pass(rows_first, taps(image.shape[0], height, method, antialias=antialias))


def nearest_indices(size_in: int, size_out: int) -> npt.NDArray[np.int64]:
    """For each output position the input position ``floor((i + 0.5) * size_in / size_out)``, in integers."""
    return (2 * np.arange(size_out, dtype=np.int64) + 1) * size_in // (2 * size_out)


def taps(size_in: int, size_out: int, method: Filter, *, antialias: bool) -> Taps:
    """What each output position is a weighted sum of. Taps outside the image are left out; the rest are scaled to a sum of 1."""
    scale = size_in / size_out
    widening = max(scale, 1.0) if antialias else 1.0
    weigh, radius = _FILTERS[method]
    support = radius * widening
    found = []
    for position in range(size_out):
        centre = (position + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        end = min(int(centre + support + 0.5), size_in)
        weights = [weigh((x - centre + 0.5) * (1.0 / widening)) for x in range(first, end)]
        total = _sum_in_order(weights)
        found.append((first, [weight / total for weight in weights]))
    return found


def _sum_in_order(values: Sequence[float]) -> float:
    total = 0.0  # not sum(): newer Pythons compensate it, which other languages would have to imitate
    for value in values:
        total += value
    return total


def _triangle(x: float) -> float:
    x = abs(x)
    return 1.0 - x if x < 1.0 else 0.0


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1.0:
        return ((_CUBIC_A + 2.0) * x - (_CUBIC_A + 3.0)) * x * x + 1.0
    if x < 2.0:
        return (((x - 5.0) * x + 8.0) * x - 4.0) * _CUBIC_A
    return 0.0


_FILTERS: dict[str, tuple[Callable[[float], float], float]] = {"bilinear": (_triangle, 1.0), "bicubic": (_cubic, 2.0)}


def _fixed_point_pass(image: Levels, positions: Taps) -> Levels:
    """One pass along axis 0 in 32-bit integers: weights * 2**22 rounded half away from zero, the sum rounded half up, clipped."""
    total = np.full((len(positions), *image.shape[1:]), 1 << (FIXED_POINT_BITS - 1), dtype=np.int32)
    for position, (first, weights) in enumerate(positions):
        for x, weight in enumerate(weights, start=first):
            scaled = weight * (1 << FIXED_POINT_BITS)
            total[position] += np.multiply(image[x], int(scaled + (0.5 if scaled >= 0 else -0.5)), dtype=np.int32)
    rounded: Pixels = np.clip(total >> FIXED_POINT_BITS, 0, 255).astype(np.uint8)
    return rounded


def _float_pass(image: Levels, positions: Taps) -> Levels:
    """One pass along axis 0 in float64, taps added from the first to the last, nothing rounded."""
    total = np.zeros((len(positions), *image.shape[1:]), dtype=np.float64)
    for position, (first, weights) in enumerate(positions):
        for x, weight in enumerate(weights, start=first):
            total[position] += np.multiply(image[x], weight, dtype=np.float64)
    return total


def fitted_size(height: int, width: int, into_height: int, into_width: int) -> tuple[int, int]:
    """The largest (height, width) of the same aspect that fits into the box; the free side is rounded half up, at least 1."""
    if width * into_height > height * into_width:
        return max(1, (2 * height * into_width + width) // (2 * width)), into_width
    return into_height, max(1, (2 * width * into_height + height) // (2 * height))


def centre_crop(height: int, width: int, like_height: int, like_width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest centred part with the aspect of ``like``; rounded half up, at least 1."""
    part_height, part_width = fitted_size(like_height, like_width, height, width)
    return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width
