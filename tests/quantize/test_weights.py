from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgekit.quantize import weights

FLOATS = st.floats(-1e6, 1e6, width=32)
MATRICES = arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=4, max_side=6), elements=FLOATS)


def restored(found: weights.QuantizedWeight, axis: int | None) -> np.ndarray:
    shape = [1] * found.stored.ndim
    if axis is not None:
        shape[axis] = -1
    scale = found.scale.reshape(shape) if axis is not None else found.scale
    zero_point = found.zero_point.reshape(shape) if found.zero_point.ndim else found.zero_point
    return scale.astype(np.float64) * (found.stored.astype(np.float64) - zero_point.astype(np.float64))


def within_half_a_step(weight: np.ndarray, found: weights.QuantizedWeight, axis: int | None) -> bool:
    step = found.scale if axis is None else found.scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    dead = np.abs(weight) < np.finfo(np.float32).tiny * 256  # stored as zero
    return bool((np.abs(restored(found, axis) - weight) <= step * 0.5 + np.abs(weight) * 1e-5)[~dead].all())


@given(MATRICES, st.integers(0, 3))
def test_symmetric_int8_restores_within_half_a_step(weight: np.ndarray, wanted: int) -> None:
    axis = wanted % weight.ndim
    found = weights.symmetric_int8(weight, axis)
    assert found.stored.dtype == np.int8
    assert found.scale.shape == (weight.shape[axis],)
    assert found.stored.min() >= -127
    assert (found.scale > 0).all()
    assert not found.zero_point.any()
    assert within_half_a_step(weight, found, axis)


@given(MATRICES)
def test_one_scale_a_tensor(weight: np.ndarray) -> None:
    assert within_half_a_step(weight, weights.symmetric_int8(weight, None), None)


@given(MATRICES)
def test_seven_bits_keep_to_64(weight: np.ndarray) -> None:
    assert int(np.abs(weights.symmetric_int8(weight, 0, bits=7).stored.astype(int)).max()) <= 64


@given(MATRICES)
def test_symmetric_uint8_shares_one_zero_point(weight: np.ndarray) -> None:
    found = weights.symmetric_uint8(weight, 0)
    assert found.stored.dtype == np.uint8
    assert found.zero_point == 128
    assert within_half_a_step(weight, found, 0)


@given(MATRICES)
def test_asymmetric_uint8_restores_within_one_step_and_keeps_zero(weight: np.ndarray) -> None:
    """The zero point is rounded as well, so an end of the range may clip: one step, not a half."""
    found = weights.asymmetric_uint8(weight)
    values = restored(found, None)
    dead = np.abs(weight) < np.finfo(np.float32).tiny * 512
    assert (np.abs(values - weight) <= found.scale * 1.01 + np.abs(weight) * 1e-5)[~dead].all()
    assert not values[weight == 0].any()


@pytest.mark.parametrize("weight", [np.zeros((3, 4), np.float32), np.full((2, 2), 1e-42, np.float32), np.zeros((0, 4), np.float32)])
def test_dead_and_empty_weights_have_a_usable_scale(weight: np.ndarray) -> None:
    for found in (weights.symmetric_int8(weight, 1), weights.symmetric_uint8(weight, 1), weights.asymmetric_uint8(weight)):
        assert (found.scale >= np.finfo(np.float32).tiny).all()
        assert np.isfinite(found.scale).all()
        assert found.stored.shape == weight.shape
