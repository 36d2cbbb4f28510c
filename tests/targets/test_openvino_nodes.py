from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgekit_openvino import convert, vendor
from edgekit_openvino.nodes import find_operations
from support.onnx_graphs import FLOAT, model, node, value
from support.requirements import missing

from edgekit.errors import MissingExtraError, ModelError
from edgekit.frontends.graph import node_id
from edgekit.model import load_model
from edgekit.testing.models import CASES

try:
    vendor.openvino()
except MissingExtraError as problem:
    missing(str(problem))

WEIGHTS = ("Convolution", "GroupConvolution", "MatMul")


def converted(proto: onnx.ModelProto, tmp_path: Path) -> convert.Converted:
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    return convert.convert(load_model(path))


def found(made: convert.Converted, *ids: str) -> Counter[str]:
    """What :func:`find_operations` finds, by type."""
    types = {operation.get_friendly_name(): operation.get_type_name() for operation in made.ir.get_ops()}
    return Counter(types[name] for name in find_operations(made.ir, ids, made.graph))


@pytest.fixture
def chain(tmp_path: Path) -> convert.Converted:
    """Convolution and a scale that is folded into it; a convolution with bias; a Gemm; a shift that is computed from constants."""
    random = np.random.default_rng(0)
    return converted(
        model(
            [
                node("Conv", ["x", "w1"], ["folded"], "a", pads=[1, 1, 1, 1]),
                node("Mul", ["folded", "scale"], ["scaled"], "b"),
                node("Relu", ["scaled"], ["relu"], "c"),
                node("Conv", ["relu", "w2", "b2"], ["biased"], "d"),
                node("GlobalAveragePool", ["biased"], ["pooled"], "e"),
                node("Flatten", ["pooled"], ["flat"], "f"),
                node("Gemm", ["flat", "w3", "b3"], ["logits"], "g"),
                node("Add", ["shift_1", "shift_2"], ["shift"], "h"),
                node("Add", ["logits", "shift"], ["y"], "i"),
            ],
            [value("x", FLOAT, ["n", 3, 8, 8])],
            [value("y", FLOAT, ["n", 5])],
            {
                name: random.normal(size=shape).astype(np.float32)
                for name, shape in {
                    "w1": (4, 3, 3, 3), "scale": (1, 4, 1, 1), "w2": (6, 4, 3, 3), "b2": (6,), "w3": (6, 5), "b3": (5,),
                    "shift_1": (5,), "shift_2": (5,),
                }.items()
            },
        ),
        tmp_path,
    )  # fmt: skip


def test_a_node_may_be_several_operations(chain: convert.Converted) -> None:
    assert found(chain, "biased") == {"Convolution": 1, "Add": 1}
    assert found(chain, "logits") == {"MatMul": 1, "Add": 1}
    assert found(chain, "relu") == {"Relu": 1}


def test_a_node_whose_tensor_is_gone_is_found_by_the_one_that_absorbed_it(chain: convert.Converted) -> None:
    names = {name for operation in chain.ir.get_ops() for port in operation.outputs() for name in port.get_names()}
    assert "folded" not in names, "the case is not what it was made for"
    assert found(chain, "folded")["Convolution"] == 1
    assert find_operations(chain.ir, ["folded"], chain.graph) != find_operations(chain.ir, ["biased"], chain.graph)


def test_a_constant_is_nothing(chain: convert.Converted) -> None:
    assert found(chain, "shift") == {}


def test_nothing_of_a_name_that_is_not_there(chain: convert.Converted) -> None:
    with pytest.raises(ModelError, match="no_such_node"):
        find_operations(chain.ir, ["relu", "no_such_node"], chain.graph)
    with pytest.raises(ModelError, match="w1"):
        find_operations(chain.ir, ["w1"], chain.graph)  # a tensor, but no node's


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if name != "conditional"])
def test_all_nodes_together_are_all_operations_with_weights(name: str, tmp_path: Path) -> None:
    made = convert.convert(load_model(CASES[name].write(tmp_path)))
    everything = [node_id(node) for node in made.graph.node if node_id(node)]
    names = set(find_operations(made.ir, everything, made.graph))
    with_weights = {op.get_friendly_name() for op in made.ir.get_ops() if op.get_type_name() in WEIGHTS}
    assert with_weights <= names
    assert names <= {op.get_friendly_name() for op in made.ir.get_ops()}


def test_each_product_of_a_transformer_is_found_by_itself(tmp_path: Path) -> None:
    made = convert.convert(load_model(CASES["transformer"].write(tmp_path)))
    for product in ("q_product", "k_product", "v_product", "projected", "wide", "narrow"):
        assert found(made, product)["MatMul"] == 1, product
