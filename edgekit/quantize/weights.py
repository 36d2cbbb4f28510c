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


def symmetric_int8(
    weight: Floats, axis: int | None, *, bits: int = 8, least_scale: npt.NDArray[np.floating[Any]] | float = 0.0
) -> QuantizedWeight:
    """int8 with zero point 0; one scale per index of ``axis``, or a single one for ``None``.

    ``bits=7`` keeps the magnitudes at or below 64: processors without VNNI add two products in 16 bits, which saturates otherwise.
    ``least_scale``: no scale is smaller than this (a number, or one a channel).
    """
    largest = 127 if bits == 8 else 64
    scale = np.maximum(_safe(_magnitude(weight, axis) / largest), np.asarray(least_scale, np.float32)).astype(np.float32)
    stored = np.clip(np.rint(weight / _along(scale, weight.ndim, axis)), -largest, largest).astype(np.int8)
    return QuantizedWeight(stored, scale, np.zeros(scale.shape, np.int8))


def symmetric_uint8(weight: Floats, axis: int) -> QuantizedWeight:
    """uint8 around a zero point of 128 that all channels share; one scale per index of ``axis``."""
    found = as_uint8(symmetric_int8(weight, axis))
    return QuantizedWeight(found.stored, found.scale, np.asarray(128, np.uint8))


def as_uint8(weight: QuantizedWeight) -> QuantizedWeight:
    """The same values in uint8 around 128."""
    stored = (weight.stored.astype(np.int16) + 128).astype(np.uint8)
    return QuantizedWeight(stored, weight.scale, np.full(weight.zero_point.shape, 128, np.uint8))


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
    """A dead channel has no range: any scale stores its zeros. It gets the largest of the others, so that its bias, whose step is
    a multiple of it, is stored no more coarsely than theirs; 1, where all are dead, neither divides by zero nor underflows.
    """
    dead = scale < np.finfo(np.float32).tiny
    largest = np.max(scale, initial=0.0, where=~dead)
    return np.where(dead, np.float32(largest or 1), scale).astype(np.float32)


def _along(scale: Floats, dimensions: int, axis: int | None) -> Floats:
    if axis is None:
        return scale
    shape = [1] * dimensions
    shape[axis] = -1
    return scale.reshape(shape)


@dataclass(frozen=True)
class BlockwiseWeight:
    """A matrix of K inputs and N outputs, in blocks of ``block_size`` neighbours along K.

    ``stored`` uint8 [N, blocks, block_size], ``scale`` float32 [N, blocks], ``zero_point`` uint8 [N, blocks]; where K is no
    multiple of the block size, the last block is filled up with zeros.
    """

    stored: npt.NDArray[np.uint8]
    scale: Floats
    zero_point: npt.NDArray[np.uint8]


def blockwise(weight: Floats, bits: int, block_size: int) -> BlockwiseWeight:
    """``weight`` ([K, N]) in ``bits`` bits, each block over its own range; zero is exact."""
    inputs, outputs = weight.shape
    blocks = -(-inputs // block_size)
    padded = np.zeros((outputs, blocks * block_size), np.float32)
    padded[:, :inputs] = weight.T
    padded = padded.reshape(outputs, blocks, block_size)
    lowest, highest = np.minimum(padded.min(axis=2), 0), np.maximum(padded.max(axis=2), 0)
    largest = 2**bits - 1
    scale = _safe((highest - lowest) / largest)
    zero_point = np.clip(np.rint(-lowest / scale), 0, largest).astype(np.uint8)
    stored = np.clip(np.rint(padded / scale[..., None]) + zero_point[..., None], 0, largest).astype(np.uint8)
    return BlockwiseWeight(stored, scale, zero_point)


def two_a_byte(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Values below 16 packed along the last axis, the first of two in the low half; an odd one out is followed by zero."""
    if values.shape[-1] % 2:
        values = np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)
    return (values[..., ::2] | (values[..., 1::2] << 4)).astype(np.uint8)
