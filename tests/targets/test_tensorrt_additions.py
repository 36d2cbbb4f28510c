"""Which inputs of an addition that no convolution takes in are rounded for TensorRT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from edgekit_tensorrt.limits import Limits
from edgekit_tensorrt.lint import lint
from edgekit_tensorrt.placement import STORED
from support.quantized_graphs import copy, normal, ranges_of
from support.tensorrt_sketch import Sketch, conv_of

from edgekit.quantize.emitter import emit_qdq
from edgekit.quantize.placement import plan_placement

ORIN = Limits(20, 10, (10, 3), (8, 7))


def activations(g: Sketch, total: str, *outputs: str, keep_float: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The inputs of the addition ``total`` that are rounded; empty where it stays in float."""
    plan = plan_placement(g.model(total, *outputs).graph, STORED, keep_float=keep_float)
    return next((operator.activations for operator in plan if operator.node == total), ())


def product(g: Sketch, x: str) -> str:
    """A fully connected layer with its bias: ends in an ``Add`` of a constant."""
    return g.op("Add", g.op("MatMul", x, g.weight(16, 16)), g.weight(16))


def test_behind_a_product_the_main_branch_is_rounded() -> None:
    g = Sketch()
    x = g.op("Tanh", g.input(1, 8, 16))
    made = product(g, g.op("Sigmoid", x))
    assert activations(g, g.op("Add", x, made)) == (made,)


def test_what_integer_kernels_read_as_well_is_rounded_with_it() -> None:
    g = Sketch()
    x = g.op("Tanh", g.input(1, 8, 16))
    made = product(g, x)
    assert activations(g, g.op("Add", x, made)) == (x, made)


def test_element_wise_operators_and_moves_belong_to_the_product() -> None:
    g = Sketch()
    x = g.op("Tanh", g.input(1, 8, 16))
    made = g.op("Reshape", g.op("Sigmoid", product(g, g.op("Sigmoid", x))), g.const([1, 8, 16], np.int64))
    assert activations(g, g.op("Add", x, made)) == (made,)


def test_what_is_moved_to_a_place_known_at_run_time_is_moved_in_float() -> None:
    g = Sketch()
    x = g.op("Tanh", g.input(1, 8, 16))
    made = g.op("Reshape", product(g, g.op("Sigmoid", x)), g.op("Shape", x))
    assert activations(g, g.op("Add", x, made)) == ()


def test_a_gate_and_what_it_gates_are_both_rounded() -> None:
    g = Sketch()
    made = conv_of(g, g.input(1, 16, 8, 8), g.weight(16, 16, 3, 3))
    gated = g.op("Mul", made, g.op("Sigmoid", g.op("GlobalAveragePool", made)))
    assert activations(g, g.op("Add", made, gated)) == (made, gated)


def test_patches_take_the_first_addition_in_and_the_second_reads_integers() -> None:
    g = Sketch()
    made = conv_of(g, g.input(1, 16, 4, 4), g.weight(16, 16, 3, 3))
    patches = g.op(
        "Add", g.op("Transpose", g.op("Reshape", made, g.const([1, 16, 16], np.int64)), perm=[0, 2, 1]), g.weight(16, 16)
    )
    attended = product(g, g.op("Tanh", patches))
    first = g.op("Add", patches, attended)
    wide = product(g, g.op("Tanh", first))
    second = g.op("Add", first, wide)
    assert activations(g, first, second) == (attended,)
    assert activations(g, second) == (first, wide)


def test_what_comes_of_float_alone_stays_float() -> None:
    g = Sketch()
    x = g.input(1, 8, 16)
    assert activations(g, g.op("Add", g.op("Tanh", x), g.op("Sigmoid", x))) == ()


def test_a_product_that_is_spared_leaves_its_addition_alone() -> None:
    g = Sketch()
    x = g.op("Tanh", g.input(1, 8, 16))
    bare = g.op("MatMul", g.op("Sigmoid", x), g.weight(16, 16))
    assert activations(g, g.op("Add", x, bare), keep_float=frozenset({bare})) == ()


def test_scores_of_attention_are_added_in_float() -> None:
    g = Sketch()
    x = g.op("Tanh", g.input(1, 16, 16))
    scores = g.op("Add", product(g, g.op("Sigmoid", x)), x)
    mixed = g.op("MatMul", g.op("Softmax", scores), x)
    assert activations(g, scores, mixed) == ()


def test_other_tables_do_not_do_so() -> None:
    g = Sketch()
    x = g.op("Tanh", g.input(1, 8, 16))
    total = g.op("Add", x, product(g, g.op("Sigmoid", x)))
    for policy in ("float", "shortcut"):
        plan = plan_placement(g.model(total).graph, replace(STORED, residual_add=policy))
        assert total not in {operator.node for operator in plan}


@pytest.mark.parametrize("gated", [True, False])
def test_the_linter_has_nothing_against_it(gated: bool) -> None:
    g = Sketch()
    x = g.input(1, 16, 8, 8)
    made = conv_of(g, x, g.weight(16, 16, 3, 3))
    if gated:
        made = g.op("Add", made, g.op("Mul", made, g.op("Sigmoid", g.op("GlobalAveragePool", made))))
    model = g.model(g.op("Relu", made))
    rounded = copy(model)
    emit_qdq(rounded, plan_placement(rounded.graph, STORED), STORED, ranges_of(model, [{x: normal(1, 16, 8, 8)}]))
    assert list(lint(rounded, ORIN)) == []
