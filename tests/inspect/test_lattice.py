from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support.inspected import finding, graph_of, kinds, normal, with_weights


def rounded_rows(weights: np.ndarray, top: int) -> np.ndarray:
    """Symmetric quantization of each row to integers up to ``top``, and back."""
    rows = weights.reshape(len(weights), -1)
    scale = np.abs(rows).max(axis=1, keepdims=True) / np.float32(top)
    return (np.rint(rows / scale).astype(np.float32) * scale).reshape(weights.shape)


def rounded_groups(weights: np.ndarray, size: int) -> np.ndarray:
    """Asymmetric 4-bit quantization of groups along the inputs, and back."""
    groups = weights.reshape(-1, size)
    low = groups.min(axis=1, keepdims=True)
    scale = (groups.max(axis=1, keepdims=True) - low) / np.float32(15)
    return (np.rint((groups - low) / scale).astype(np.float32) * scale + low).reshape(weights.shape)


@pytest.mark.parametrize("shape", [(64, 64), (32, 1, 3, 3), (32, 16, 3, 3)])
@pytest.mark.parametrize(("top", "lattice"), [(127, "int8"), (7, "int4")])
def test_rows_on_a_lattice_are_a_residue(shape: tuple[int, ...], top: int, lattice: str) -> None:
    proto = with_weights(rounded_rows(normal(*shape), top))
    assert finding(proto, "quantized-residue").evidence["lattices"] == [lattice]
    assert kinds(proto) == ["quantized-residue"]


@settings(max_examples=30, deadline=None)
@given(zero=st.integers(-100, 100), scale=st.floats(1e-6, 1e3), seed=st.integers(0, 1000))
def test_a_zero_point_and_any_scale_are_allowed_for(zero: int, scale: float, seed: int) -> None:
    stored = np.random.default_rng(seed).integers(-127, 128, (16, 48))
    proto = with_weights(((stored - zero) * np.float32(scale)).astype(np.float32))
    assert finding(proto, "quantized-residue").evidence["lattices"] == ["int8"]


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_groups_along_the_inputs_are_scanned(size: int) -> None:
    proto = with_weights(rounded_groups(normal(32, 512), size))
    assert finding(proto, "quantized-residue").evidence["lattices"] == [f"int4 in groups of {size}"]


def test_a_residue_survives_folding_a_scale_into_each_row() -> None:
    weights = rounded_rows(normal(32, 16, 3, 3), 127) * normal(32, 1, 1, 1, seed=5)
    assert kinds(with_weights(weights)) == ["quantized-residue"]


@pytest.mark.parametrize("shape", [(64, 64), (64, 1, 3, 3), (256, 8), (8, 4096)])
@pytest.mark.parametrize("seed", range(5))
def test_trained_looking_weights_are_neither(shape: tuple[int, ...], seed: int) -> None:
    assert kinds(with_weights(normal(*shape, seed=seed))) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_float_types_are_neither(dtype: type) -> None:
    assert kinds(with_weights(normal(64, 64).astype(dtype), normal(64, 1, 3, 3).astype(dtype))) == []


def test_rounding_to_half_precision_is_no_residue() -> None:
    assert kinds(with_weights(normal(64, 64).astype(np.float16).astype(np.float32))) == []


def test_a_residue_in_half_precision() -> None:
    assert kinds(with_weights(rounded_rows(normal(64, 256), 127).astype(np.float16))) == ["quantized-residue"]


@pytest.mark.parametrize(("n_values", "expected"), [(16, ["clustered"]), (256, ["clustered"]), (257, [])])
def test_a_codebook_has_at_most_256_values(n_values: int, expected: list[str]) -> None:
    codebook = np.sort(normal(n_values))
    weights = codebook[np.random.default_rng(1).integers(0, n_values, (128, 128))]
    assert kinds(with_weights(weights)) == expected


@pytest.mark.parametrize(("elements", "expected"), [(8 * 16, ["clustered"]), (8 * 16 - 16, [])])
def test_each_value_must_be_used_eight_times_on_average(elements: int, expected: list[str]) -> None:
    codebook = normal(16)
    weights = np.random.default_rng(2).permutation(np.resize(codebook, elements)).reshape(-1, 16)
    assert kinds(with_weights(weights)) == expected


def test_a_codebook_for_each_row() -> None:
    rng = np.random.default_rng(3)
    weights = np.stack([normal(16, seed=row)[rng.integers(0, 16, 256)] for row in range(64)])
    found = finding(with_weights(weights), "clustered")
    assert found.evidence["largest"] == [{"tensor": "w0", "node": "y0", "values": 16, "elements": 64 * 256}]
    rows_of_17 = np.stack([normal(17, seed=row)[rng.integers(0, 17, 256)] for row in range(64)])
    assert kinds(with_weights(rows_of_17)) == []


@pytest.mark.parametrize("fraction", [0.9, 0.99])
def test_many_zeros_are_no_codebook(fraction: float) -> None:
    weights = normal(64, 64)
    weights[np.random.default_rng(0).random(weights.shape) < fraction] = 0
    assert "clustered" not in kinds(with_weights(weights))


def test_fixed_kernels_and_constants_are_neither() -> None:
    ramp = np.array([1, 3, 5, 7, 7, 5, 3, 1], np.float32) / 8
    bilinear = np.broadcast_to(np.outer(ramp, ramp), (16, 1, 8, 8)).copy()
    one_hot = np.eye(64, dtype=np.float32)
    assert kinds(with_weights(bilinear, np.full((32, 32), 0.25, np.float32))) == []
    assert "clustered" not in kinds(with_weights(one_hot))


def test_weights_that_are_not_finite_are_neither() -> None:
    weights = normal(64, 64)
    weights[0, 0], weights[1, 1] = np.inf, np.nan
    assert kinds(with_weights(weights)) == []


def test_zeros_from_rounding_to_four_bits_are_no_pruning() -> None:
    weights = normal(64, 64)
    weights[:, 0] *= 8  # an outlier in every row: most values round to zero
    rounded = rounded_rows(weights, 7)
    assert np.mean(rounded == 0) > 0.3
    assert kinds(with_weights(rounded)) == ["quantized-residue"]


def test_what_is_no_weight_is_not_looked_at() -> None:
    ramp = np.arange(4096, dtype=np.float32).reshape(64, 64)
    nodes = [helper.make_node("Add", ["x", "positions"], ["y"])]
    assert kinds(graph_of(nodes, {"positions": ramp})) == []


def test_a_clustered_embedding_table() -> None:
    codebook = normal(64)
    table = codebook[np.random.default_rng(0).integers(0, 64, (512, 32))]
    nodes = [helper.make_node("Cast", ["x"], ["ids"], to=TensorProto.INT64), helper.make_node("Gather", ["table", "ids"], ["y"])]
    assert kinds(graph_of(nodes, {"table": table})) == ["clustered"]
    assert kinds(graph_of(nodes, {"table": normal(512, 32)})) == []


def test_weights_in_constant_nodes_are_seen() -> None:
    weights = rounded_rows(normal(64, 64), 127)
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weights)),
        helper.make_node("Gemm", ["x", "w"], ["y"], transB=1),
    ]
    assert kinds(graph_of(nodes, {})) == ["quantized-residue"]
