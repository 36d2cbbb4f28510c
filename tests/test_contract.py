"""What goes into an artifact and comes back is under the original contract."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgekit.contract import to_artifact, to_original
from edgekit.errors import DeviceRunError
from edgekit.types import TensorMap, TensorSpec


def test_names_layouts_and_dtypes_are_translated() -> None:
    original, artifact = TensorSpec("image", "float32", (1, 3, 4, 5)), TensorSpec("serving_x:0", "float32", (1, 4, 5, 3))
    io = [TensorMap("input", original, artifact, (0, 2, 3, 1)), TensorMap("output", original, artifact, (0, 2, 3, 1))]
    image = np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5)
    stored = to_artifact({"image": image}, io)["serving_x:0"]
    assert stored.shape == (1, 4, 5, 3)
    assert stored[0, 1, 2, 0] == image[0, 0, 1, 2]
    np.testing.assert_array_equal(to_original({"serving_x:0": stored}, io)["image"], image)


@given(
    hnp.arrays(np.float32, 20, elements=st.floats(-3, 3, width=32)),
    st.floats(1e-3, 1),
    st.integers(-128, 127),
)
def test_quantized_tensors_come_back_within_half_a_step(values: np.ndarray, scale: float, zero_point: int) -> None:
    original, artifact = TensorSpec("x", "float32", (20,)), TensorSpec("q", "int8", (20,))
    io = [TensorMap(role, original, artifact, None, scale, zero_point) for role in ("input", "output")]
    restored = to_original(to_artifact({"x": values}, io), io)["x"]
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    expected = np.clip(values, low, high)
    assert np.all(np.abs(restored - expected) <= scale / 2 + 1e-5)


def test_a_missing_output_is_named() -> None:
    spec = TensorSpec("y", "float32", (1,))
    with pytest.raises(DeviceRunError, match="'y'"):
        to_original({"z": np.zeros(1)}, [TensorMap("output", spec, spec)])


def test_a_scalar_stays_a_scalar() -> None:
    io = (TensorMap("input", TensorSpec("sr", "int64", ()), TensorSpec("sr", "int64", ())),)
    assert to_artifact({"sr": np.array(16000)}, io)["sr"].shape == ()


@pytest.mark.parametrize(("value", "fits"), [(2**31 - 1, True), (-(2**31), True), (2**31, False), (-(2**40), False)])
def test_an_integer_that_an_artifact_cannot_store_is_no_other_integer(value: int, fits: bool) -> None:
    io = [TensorMap("input", TensorSpec("ids", "int64", (2,)), TensorSpec("ids", "int32", (2,)))]
    feed = {"ids": np.array([0, value])}
    if fits:
        assert to_artifact(feed, io)["ids"].tolist() == [0, value]
    else:
        with pytest.raises(DeviceRunError, match="'ids' does not fit"):
            to_artifact(feed, io)
