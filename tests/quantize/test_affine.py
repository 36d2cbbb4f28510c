from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import DataError
from edgekit.quantize.affine import SMALLEST_SCALE, STORED, ActivationType, AffineParameters, affine_of, fake_quantize
from edgekit.quantize.types import Range

TYPES = st.sampled_from(["uint8", "int8"])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ENDS = st.tuples(FINITE, FINITE).map(sorted)
F32 = st.floats(-1e6, 1e6, width=32)


@given(ENDS, TYPES, st.booleans())
def test_parameters_are_always_storable(ends: list[float], dtype: ActivationType, symmetric: bool) -> None:
    parameters = affine_of(Range(*ends), dtype, symmetric=symmetric)
    least, greatest = STORED[dtype]
    assert least <= parameters.zero_point <= greatest
    assert isinstance(parameters.zero_point, int)
    assert SMALLEST_SCALE <= parameters.scale < math.inf
    assert float(np.float32(parameters.scale)) == parameters.scale
    if symmetric:
        assert parameters.zero_point == {"uint8": 128, "int8": 0}[dtype]


@given(st.tuples(F32, F32).map(sorted), TYPES, st.booleans(), st.floats(0, 1))
def test_what_lies_inside_is_off_by_at_most_a_step(ends: list[float], dtype: ActivationType, symmetric: bool, where: float) -> None:
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    parameters = affine_of(Range(low, high), dtype, symmetric=symmetric)
    value = np.float32(low + where * (high - low))
    error = abs(float(fake_quantize(np.array([value]), parameters)[0]) - float(value))
    # Half a step; at an end up to one, since the zero point is rounded as well.
    assert error <= parameters.scale * (0.5 if symmetric else 1.0) * (1 + 1e-4)


@given(ENDS, TYPES, st.booleans())
def test_zero_is_exact(ends: list[float], dtype: ActivationType, symmetric: bool) -> None:
    assert fake_quantize(np.zeros(3, np.float32), affine_of(Range(*ends), dtype, symmetric=symmetric)).tolist() == [0, 0, 0]


def test_a_dead_tensor() -> None:
    assert affine_of(Range(0.0, 0.0), "uint8", symmetric=False) == AffineParameters(1.0, 0, "uint8")
    assert affine_of(Range(0.0, 0.0), "int8", symmetric=False) == AffineParameters(1.0, -128, "int8")
    assert affine_of(Range(0.0, 0.0), "int8", symmetric=True) == AffineParameters(1.0, 0, "int8")


def test_denormals_get_a_normal_scale() -> None:
    for end in (5e-324, 1e-45, 1e-40):
        assert affine_of(Range(-end, end), "int8", symmetric=False).scale == SMALLEST_SCALE


@pytest.mark.parametrize("value", [3.5, -3.5])
def test_a_constant(value: float) -> None:
    for symmetric in (False, True):
        parameters = affine_of(Range(min(value, 0), max(value, 0)), "uint8", symmetric=symmetric)
        assert fake_quantize(np.float32([value]), parameters)[0] == pytest.approx(value, rel=1e-6)


def test_a_range_away_from_zero_is_widened_to_it() -> None:
    assert affine_of(Range(1.0, 2.55), "uint8", symmetric=False) == affine_of(Range(0.0, 2.55), "uint8", symmetric=False)


@pytest.mark.parametrize("ends", [(-math.inf, 1), (0, math.inf), (math.nan, 1), (0, math.nan), (1, -1)])
def test_ends_that_make_no_sense(ends: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="cannot be quantized"):
        affine_of(Range(*ends), "int8", symmetric=False)


def test_saturation() -> None:
    parameters = AffineParameters(0.5, 10, "uint8")
    beyond = np.float32([-1e30, -6, -5, 122.5, 123, 3e38, np.inf, -np.inf, np.nan])
    expected = np.float32([-5, -5, -5, 122.5, 122.5, 122.5, 122.5, -5, np.nan])
    np.testing.assert_array_equal(fake_quantize(beyond, parameters), expected)


def test_the_same_as_onnx_runtime() -> None:
    import onnx
    import onnxruntime
    from onnx import helper

    make = helper.make_tensor_value_info
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    ends = [make("x", onnx.TensorProto.FLOAT, ["n"]), make("s", onnx.TensorProto.FLOAT, []), make("z", onnx.TensorProto.INT8, [])]
    graph = helper.make_graph(nodes, "g", ends, [make("y", onnx.TensorProto.FLOAT, ["n"])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(0, 2, 10_000).astype(np.float32)
    parameters = affine_of(Range(-3.0, 4.0), "int8", symmetric=False)
    feed = {"x": x, "s": np.array(parameters.scale, np.float32), "z": np.array(parameters.zero_point, np.int8)}
    np.testing.assert_array_equal(fake_quantize(x, parameters), session.run(None, feed)[0])
