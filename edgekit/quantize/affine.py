"""Scale and zero point of an activation: what ``QuantizeLinear`` and ``DequantizeLinear`` of ONNX compute with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import DataError
from ..types import Array
from .types import Range

ActivationType = Literal["uint8", "int8"]
#: (least, greatest) value that is stored.
STORED: dict[ActivationType, tuple[int, int]] = {"uint8": (0, 255), "int8": (-128, 127)}
#: The largest magnitude in steps of a symmetric range: -128 is not used, so that both signs have the same range.
SYMMETRIC_STEPS = 127
SMALLEST_SCALE = float(np.finfo(np.float32).tiny)  # below, float32 loses digits, and many kernels flush to zero


@dataclass(frozen=True)
class AffineParameters:
    """``real = scale * (stored - zero_point)``. ``scale`` is a normal float32 number, ``zero_point`` is a value of ``dtype``."""

    scale: float
    zero_point: int
    dtype: ActivationType


def affine_of(range_: Range, dtype: ActivationType, *, symmetric: bool) -> AffineParameters:
    """The parameters that span ``range_``; zero is always represented exactly.

    A tensor that is always zero gets the scale 1: whatever appears there at run time is then at least not crushed, and the product
    with a weight's scale stays a number that an int32 bias can be divided by. A range that does not reach zero is widened to it.

    Args:
        symmetric: zero point 0 (int8) or 128 (uint8), and as many steps below as above.

    Raises:
        DataError: an end is infinite or no number, or the ends are the wrong way round.
    """
    if not (math.isfinite(range_.low) and math.isfinite(range_.high)) or range_.low > range_.high:
        raise DataError(
            f"an activation cannot be quantized over {range_.low:g} ... {range_.high:g}",
            why="a range has two finite ends, the lower one first",
            hint="keep the operator in float, or look for infinities in the calibration data",
        )
    low, high = min(range_.low, 0.0), max(range_.high, 0.0)
    least, greatest = STORED[dtype]
    if low == high:
        return AffineParameters(1.0, (least + greatest + 1) // 2 if symmetric else least, dtype)
    if symmetric:
        zero_point = (least + greatest + 1) // 2
        return AffineParameters(_scale(max(-low, high) / SYMMETRIC_STEPS), zero_point, dtype)
    steps = greatest - least
    scale = _scale(high / steps - low / steps)  # the difference of float64's largest ends would overflow
    zero_point = least + round(min(-low / scale, steps))
    return AffineParameters(scale, zero_point, dtype)


def _scale(exact: float) -> float:
    largest = float(np.finfo(np.float32).max)
    return float(np.float32(min(max(exact, SMALLEST_SCALE), largest)))


def fake_quantize(array: Array, parameters: AffineParameters) -> Array:
    """``array`` after quantization and back: float32, the same shape, computed as ONNX Runtime does (ties to the even step).

    What lies outside saturates, infinities too; NaN stays NaN.
    """
    least, greatest = STORED[parameters.dtype]
    scale = np.float32(parameters.scale)
    with np.errstate(over="ignore"):  # beyond float32's largest number is beyond the last step as well
        steps = np.rint(np.asarray(array, np.float32) / scale)
        steps = np.clip(steps, np.float32(least - parameters.zero_point), np.float32(greatest - parameters.zero_point))
        result: Array = steps * scale
    return result
