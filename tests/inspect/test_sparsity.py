from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from support.inspected import finding, graph_of, kinds, normal, with_weights


def scattered(fraction: float, *shape: int, seed: int = 0) -> np.ndarray:
    """Weights of which exactly ``fraction`` are zero, at random places."""
    weights = normal(*shape, seed=seed)
    places = np.random.default_rng(seed + 1).permutation(weights.size)[: round(fraction * weights.size)]
    weights.flat[places] = 0
    return weights


def two_of_four(*shape: int) -> np.ndarray:
    """The two largest of every four input channels are kept, as structured pruning does."""
    weights = normal(*shape)
    groups = np.moveaxis(weights, 1, -1).copy()
    flat = groups.reshape(-1, 4)
    np.put_along_axis(flat, np.abs(flat).argsort(axis=1)[:, :2], 0, axis=1)
    return np.ascontiguousarray(np.moveaxis(groups, -1, 1))


def masked(fraction: float, *shape: int) -> np.ndarray:
    weights = normal(*shape)
    weights[: round(fraction * shape[0])] = 0
    return weights


@pytest.mark.parametrize(("fraction", "expected"), [(0.22, []), (0.29, []), (0.31, ["unstructured-sparsity"])])
def test_scattered_zeros_from_thirty_percent_on(fraction: float, expected: list[str]) -> None:
    assert kinds(with_weights(scattered(fraction, 64, 64))) == expected


@pytest.mark.parametrize("fraction", [0.5, 0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("shape", [(64, 64), (32, 32, 3, 3)])
def test_scattered_zeros_are_not_two_of_four(fraction: float, shape: tuple[int, ...]) -> None:
    assert "2:4-sparsity" not in kinds(with_weights(scattered(fraction, *shape)))


@settings(max_examples=40, deadline=None)
@given(fraction=st.floats(0.3, 0.97), seed=st.integers(0, 10_000))
def test_no_density_of_scattered_zeros_is_two_of_four(fraction: float, seed: int) -> None:
    assert "2:4-sparsity" not in kinds(with_weights(scattered(fraction, 32, 64, seed=seed)))


@pytest.mark.parametrize("shape", [(64, 64), (16, 16, 3, 3), (16, 64, 1, 1)])
def test_two_of_four_is_that_only(shape: tuple[int, ...]) -> None:
    found = finding(with_weights(two_of_four(*shape)), "2:4-sparsity")
    assert found.evidence["fraction"] == 1.0
    assert kinds(with_weights(two_of_four(*shape))) == ["2:4-sparsity"]


def test_two_of_four_is_sought_along_the_inputs_of_a_matmul() -> None:
    weights = two_of_four(64, 32)  # [outputs, inputs]
    matmul = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    assert kinds(graph_of(matmul, {"w": np.ascontiguousarray(weights.T)})) == ["2:4-sparsity"]
    assert "2:4-sparsity" not in kinds(graph_of(matmul, {"w": weights}))


def test_one_dense_layer_beside_a_two_of_four_one() -> None:
    found = finding(with_weights(two_of_four(64, 64), normal(64, 64)), "2:4-sparsity")
    assert found.evidence == {
        "fraction": 0.5,
        "tensors": 1,
        "largest": [{"tensor": "w0", "node": "y0", "elements": 4096}],
    }


def test_a_hundred_groups_of_which_two_are_dense_are_not_two_of_four() -> None:
    weights = two_of_four(25, 16)
    weights.reshape(-1, 4)[:2] = 1.5
    assert "2:4-sparsity" not in kinds(with_weights(weights))


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.0, []), (0.01, []), (0.02, ["masked-structured"]), (0.5, ["masked-structured"])]
)
def test_masked_filters_from_two_percent_on_and_no_scattered_zeros(fraction: float, expected: list[str]) -> None:
    assert kinds(with_weights(masked(fraction, 100, 16, 3, 3))) == expected


def test_masked_filters_and_their_dead_inputs_are_no_scattered_zeros() -> None:
    following = normal(32, 64)
    following[:, :40] = 0
    assert kinds(with_weights(masked(40 / 64, 64, 16, 3, 3), following)) == ["masked-structured"]


def test_masked_filters_of_a_transposed_convolution_lie_on_its_second_axis() -> None:
    weights = normal(16, 32, 3, 3)
    weights[:, :8] = 0
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"])
    found = finding(graph_of([node], {"w": weights}), "masked-structured")
    assert (found.evidence["zero_filters"], found.evidence["filters"]) == (8, 32)
    assert kinds(graph_of([node], {"w": np.ascontiguousarray(weights.swapaxes(0, 1))})) == []


def test_zeros_that_are_no_weights_raise_no_alarm() -> None:
    zeros = {f"{name}{i}": np.zeros(64, np.float32) for i in range(4) for name in ("bias", "mean")}
    zeros["shape"] = np.zeros(300, np.int64)
    zeros["table"] = np.zeros((64, 64), np.float32)
    nodes = [helper.make_node("Add", ["x", name], [f"sum_{name}"]) for name in zeros]
    assert kinds(graph_of(nodes, zeros)) == []


def test_tiny_tensors_raise_no_alarm() -> None:
    assert kinds(with_weights(np.zeros((3, 7), np.float32), np.eye(5, dtype=np.float32))) == []


def test_zero_means_the_zero_point_of_stored_integers() -> None:
    stored = np.full((64, 64), 128, np.uint8)
    stored[:, ::2] = np.random.default_rng(0).integers(0, 128, (64, 32))
    initializers = {"w": stored, "scale": np.array(0.1, np.float32), "zero": np.array(128, np.uint8)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["weights"]),
        helper.make_node("MatMul", ["x", "weights"], ["y"]),
    ]
    # columns of a MatMul weight are its outputs: every other one is all zero
    found = finding(graph_of(nodes, initializers), "masked-structured")
    assert found.evidence["zero_filters"] == 32
