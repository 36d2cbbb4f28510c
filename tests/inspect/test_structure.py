from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.inspected import finding, graph_of, kinds, normal

from edgekit.inspect import find_compression


def two_matmuls(inner: int, *, bias: np.ndarray | None = None, between: str = "") -> list[str]:
    """64 -> ``inner`` -> 48; break-even is 64 * 48 / (64 + 48) = 27.4."""
    initializers = {"a": normal(64, inner), "b": normal(inner, 48, seed=1)}
    nodes = [helper.make_node("MatMul", ["x", "a"], ["h"])]
    if bias is not None:
        initializers["bias"] = bias
        nodes = [helper.make_node("Gemm", ["x", "a", "bias"], ["h"])]
    if between:
        nodes.append(helper.make_node(between, ["h"], ["h2"]))
    nodes.append(helper.make_node("MatMul", [nodes[-1].output[0], "b"], ["y"]))
    return kinds(graph_of(nodes, initializers))


@pytest.mark.parametrize(("inner", "expected"), [(8, ["factorized"]), (27, ["factorized"]), (28, []), (64, [])])
def test_the_inner_dimension_lies_below_break_even(inner: int, expected: list[str]) -> None:
    assert two_matmuls(inner) == expected


def test_a_bias_or_an_activation_between_makes_two_layers_of_it() -> None:
    assert two_matmuls(8, bias=normal(8, seed=2)) == []
    assert two_matmuls(8, between="Relu") == []
    assert two_matmuls(8, bias=np.zeros(8, np.float32)) == ["factorized"]


def convolutions(first: tuple[int, ...], second: tuple[int, ...], group: int = 1) -> list[str]:
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["h"], kernel_shape=first[2:], group=group),
        helper.make_node("Conv", ["h", "b"], ["y"], kernel_shape=second[2:]),
    ]
    return kinds(graph_of(nodes, {"a": normal(*first), "b": normal(*second, seed=1)}, shape=["n", first[1] * group, 16, 16]))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((8, 32, 3, 3), (32, 8, 1, 1)),
        ((8, 32, 1, 1), (32, 8, 3, 3)),
        ((8, 32, 3, 1), (32, 8, 1, 3)),
        ((8, 32, 1, 1), (32, 8, 1, 1)),
    ],
)
def test_factorized_convolutions(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    assert convolutions(first, second) == ["factorized"]


def test_architectures_that_are_no_factorization() -> None:
    assert convolutions((32, 1, 3, 3), (64, 32, 1, 1), group=32) == []  # depthwise-separable
    assert convolutions((32, 32, 3, 3), (32, 32, 3, 3)) == []  # two layers without an activation between
    assert convolutions((64, 16, 1, 1), (32, 64, 1, 1)) == []  # expansion


def test_a_hidden_tensor_that_is_also_used_elsewhere_is_no_pair() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("MatMul", ["h", "b"], ["y"]),
        helper.make_node("Relu", ["h"], ["z"]),
    ]
    assert kinds(graph_of(nodes, {"a": normal(64, 8), "b": normal(8, 48)})) == []


def test_shared_weights_are_counted_by_user() -> None:
    nodes = [helper.make_node("Gemm", [name, "w", "bias"], [out]) for name, out in (("x", "h"), ("h", "h2"), ("h2", "y"))]
    found = finding(graph_of(nodes, {"w": normal(16, 16), "bias": normal(16)}), "shared-weights")
    assert found.evidence == {
        "tensors": 1,
        "uses": 3,
        "saved_bytes": 2 * 16 * 16 * 4,
        "largest": [{"tensor": "w", "nodes": ["h", "h2", "y"], "uses": 3}],
    }


def test_an_embedding_tied_to_the_output_layer_is_shared() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["ids"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["e"]),
        helper.make_node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["e", "turned"], ["y"]),
    ]
    assert kinds(graph_of(nodes, {"table": normal(100, 16)})) == ["shared-weights"]


def test_shared_constants_that_are_no_weights_raise_no_alarm() -> None:
    constants = {"half": np.array(0.5, np.float32), "mask": normal(16, 16), "to": np.array([1, 16], np.int64)}
    nodes = [
        helper.make_node("Mul", ["x", "half"], ["a"]),
        helper.make_node("Add", ["a", "mask"], ["b"]),
        helper.make_node("Add", ["b", "mask"], ["c"]),
        helper.make_node("Reshape", ["c", "to"], ["d"]),
        helper.make_node("Reshape", ["d", "to"], ["e"]),
        helper.make_node("Mul", ["e", "half"], ["y"]),
    ]
    assert kinds(graph_of(nodes, constants)) == []


def duplicated(first: np.ndarray, second: np.ndarray) -> list[str]:
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["h"]),
        helper.make_node("Relu", ["h"], ["h2"]),
        helper.make_node("MatMul", ["h2", "second"], ["y"]),
    ]
    return kinds(graph_of(nodes, {"first": first, "second": second}))


def test_equal_tensors_are_duplicates_to_the_byte() -> None:
    weights = normal(32, 32)
    changed = weights.copy()
    changed[0, 0] = np.nextafter(changed[0, 0], np.float32(9))
    assert duplicated(weights, weights.copy()) == ["duplicated-weights"]
    assert duplicated(weights, changed) == []
    assert duplicated(weights, weights.reshape(16, 64)) == []


def test_small_and_constant_tensors_are_no_duplicates() -> None:
    assert duplicated(normal(8, 8), normal(8, 8)) == []
    assert duplicated(np.ones((32, 32), np.float32), np.ones((32, 32), np.float32)) == []
    vectors = {f"b{i}": normal(512) for i in range(3)}
    assert kinds(graph_of([helper.make_node("Add", ["x", name], [f"y{name}"]) for name in vectors], vectors)) == []


def test_integer_weights_that_are_cast_and_scaled_are_quantized() -> None:
    stored = np.random.default_rng(0).integers(-127, 128, (32, 64)).astype(np.int8)
    nodes = [
        helper.make_node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "scale"], ["weights"]),
        helper.make_node("MatMul", ["x", "weights"], ["y"]),
    ]
    found = find_compression(graph_of(nodes, {"w": stored, "scale": np.full((1, 64), 0.01, np.float32)}))
    assert [entry.kind for entry in found] == ["quantized"]
    assert found[0].evidence["form"] == "integer weights"
    assert found[0].evidence["largest"] == [{"tensor": "w", "node": "y", "stored": "int8", "elements": 2048}]


def test_weights_inside_a_branch_are_seen() -> None:
    weights = normal(64, 64)
    weights[:, :8] = 0
    branch = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["inside"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w")],
    )
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
    ]
    assert kinds(graph_of(nodes, {})) == ["masked-structured", "duplicated-weights"]
