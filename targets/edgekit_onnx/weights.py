"""Integer forms of constant weights: plain arithmetic on numpy arrays.

Uniform affine quantization, ``real = scale * (stored - zero_point)``; see Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", 2018. Ranges are symmetric ([-127, 127], so that zero is exact and both
signs reach equally far) unless said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class QuantizedWeight:
    """``stored`` int8 or uint8 in the shape of the weight; ``scale`` float32 and ``zero_point``, both scalar or one a channel."""

    stored: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    scale: Floats
    zero_point: npt.NDArray[np.int8] | npt.NDArray[np.uint8]


def symmetric_int8(weight: Floats, axis: int | None, *, bits: int = 8) -> QuantizedWeight:
    """int8 with zero point 0; one scale per index of ``axis``, or a single one for ``None``.

    ``bits=7`` keeps the magnitudes at or below 64: processors without VNNI add two products in 16 bits, which saturates otherwise.
    """
    largest = 127 if bits == 8 else 64
    scale = _safe(_magnitude(weight, axis) / largest)
    stored = np.clip(np.rint(weight / _along(scale, weight.ndim, axis)), -largest, largest).astype(np.int8)
    return QuantizedWeight(stored, scale, np.zeros(scale.shape, np.int8))


def symmetric_uint8(weight: Floats, axis: int) -> QuantizedWeight:
    """uint8 around a zero point of 128 that all channels share; one scale per index of ``axis``."""
    signed = symmetric_int8(weight, axis)
    stored = (signed.stored.astype(np.int16) + 128).astype(np.uint8)
    return QuantizedWeight(stored, signed.scale, np.asarray(128, np.uint8))


def asymmetric_uint8(weight: Floats) -> QuantizedWeight:
    """uint8 over the whole range of the tensor: one scale, one zero point. The widespread default recipe."""
    lowest, highest = min(float(weight.min(initial=0.0)), 0.0), max(float(weight.max(initial=0.0)), 0.0)
    scale = _safe(np.asarray((highest - lowest) / 255, np.float32))
    zero_point = np.asarray(np.rint(-lowest / float(scale)), np.uint8)
    stored = np.clip(np.rint(weight / scale) + zero_point, 0, 255).astype(np.uint8)
    return QuantizedWeight(stored, scale, zero_point)


def _magnitude(weight: Floats, axis: int | None) -> Floats:
    others = tuple(index for index in range(weight.ndim) if axis is None or index != axis % weight.ndim)
    return np.asarray(np.abs(weight).max(axis=others, initial=0.0), np.float32)


def _safe(scale: npt.NDArray[Any]) -> Floats:
    """A dead channel has no range: any scale stores its zeros, and 1 neither divides by zero nor underflows."""
    return np.where(scale < np.finfo(np.float32).tiny, np.float32(1), scale).astype(np.float32)


def _along(scale: Floats, dimensions: int, axis: int | None) -> Floats:
    if axis is None:
        return scale
    shape = [1] * dimensions
    shape[axis] = -1
    return scale.reshape(shape)
