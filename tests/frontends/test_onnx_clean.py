from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.onnx_graphs import FLOAT, assert_same_answers, linear, model, node, run, value, write

from edgekit.frontends.onnx_frontend import read_clean
from edgekit.frontends.onnx_session import newest_ir_version
from edgekit.model import Model, load_model


def _clean(proto: onnx.ModelProto, tmp_path: Path) -> tuple[Model, onnx.ModelProto]:
    found = load_model(write(proto, tmp_path / "m.onnx"))
    return found, read_clean(found)


def _names(proto: onnx.ModelProto) -> list[str]:
    return [tensor.name for tensor in proto.graph.initializer]


def test_weights_in_constant_nodes(tmp_path: Path) -> None:
    proto = linear(opset=12)
    for tensor in [*proto.graph.initializer]:
        proto.graph.node.insert(0, node("Constant", [], [tensor.name], value=tensor))
    del proto.graph.initializer[:]
    proto.graph.node.append(node("Constant", [], ["two"], value_float=2.0))
    proto.graph.node.append(node("Constant", [], ["axes"], value_ints=[0, 1]))
    found, cleaned = _clean(proto, tmp_path)
    assert found.notes[0] == "4 tensors in Constant nodes turned into initializers"
    assert [n.op_type for n in cleaned.graph.node] == ["MatMul", "Add", "Relu"]
    assert sorted(_names(cleaned)) == ["axes", "b", "two", "w"]
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in cleaned.graph.initializer}
    assert values["two"] == np.float32(2)
    assert values["axes"].tolist() == [0, 1]
    assert values["axes"].dtype == np.int64
    assert_same_answers(proto, cleaned)


def test_constant_that_is_an_output_stays(tmp_path: Path) -> None:
    proto = linear()
    proto.graph.node.append(node("Constant", [], ["version"], "version", value=numpy_helper.from_array(np.array([3], np.int64))))
    proto.graph.output.append(value("version", onnx.TensorProto.INT64, [1]))
    found, cleaned = _clean(proto, tmp_path)
    assert found.notes == ()
    assert cleaned.graph.node[-1].op_type == "Constant"
    assert_same_answers(proto, cleaned)


def test_constants_of_a_branch_stay_in_the_branch(tmp_path: Path) -> None:
    one = numpy_helper.from_array(np.ones(4, np.float32))
    branch = onnx.helper.make_graph(
        [node("Constant", [], ["one"], value=one), node("Add", ["x", "one"], ["o"])], "branch", [], [value("o", FLOAT, [1, 4])]
    )
    other = onnx.helper.make_graph([node("Relu", ["x"], ["o2"])], "other", [], [value("o2", FLOAT, [1, 4])])
    proto = model(
        [node("If", ["c"], ["y"], "if", then_branch=branch, else_branch=other)],
        [value("c", onnx.TensorProto.BOOL, []), value("x", FLOAT, [1, 4])],
        [value("y", FLOAT, [1, 4])],
    )
    found, cleaned = _clean(proto, tmp_path)
    assert found.notes == ()
    assert not cleaned.graph.initializer
    assert_same_answers(proto, cleaned)


def test_weights_that_layers_share_through_identities(tmp_path: Path) -> None:
    """As torch.onnx writes a module that is called several times."""
    random = np.random.default_rng(0)
    proto = model(
        [
            node("Identity", ["w"], ["w2"]),
            node("Identity", ["w2"], ["w3"]),
            node("Identity", ["b"], ["b2"]),
            node("Gemm", ["x", "w", "b"], ["h"]),
            node("Gemm", ["h", "w2", "b2"], ["i"]),
            node("MatMul", ["i", "w3"], ["j"]),
            node("Identity", ["j"], ["y"]),
            node("Identity", ["b2"], ["bias"]),
        ],
        [value("x", FLOAT, ["n", 4])],
        [value("y", FLOAT, ["n", 4]), value("bias", FLOAT, [4])],
        {"w": random.normal(size=(4, 4)).astype(np.float32), "b": random.normal(size=4).astype(np.float32)},
    )
    found, cleaned = _clean(proto, tmp_path)
    assert found.notes[0] == "3 Identities of weights bypassed"
    assert [(n.op_type, list(n.input)) for n in cleaned.graph.node] == [
        ("Gemm", ["x", "w", "b"]),
        ("Gemm", ["h", "w", "b2"]),
        ("MatMul", ["i", "w"]),
        ("Identity", ["j"]),
        ("Identity", ["b2"]),  # an output keeps its name
    ]
    assert _names(cleaned) == ["w", "b", "b2"]
    assert_same_answers(proto, cleaned)


@pytest.mark.parametrize("ir", [3, 8])
def test_weights_listed_as_inputs(tmp_path: Path, ir: int) -> None:
    proto = linear(opset=9, ir=ir)
    proto.graph.input.extend(value(tensor.name, FLOAT, list(tensor.dims)) for tensor in proto.graph.initializer)
    found, cleaned = _clean(proto, tmp_path)
    assert [spec.name for spec in found.inputs] == ["x"]
    assert found.notes == ("2 weights listed as graph inputs taken off the list",)
    assert [entry.name for entry in cleaned.graph.input] == ["x"]
    assert cleaned.ir_version == max(ir, 4)
    assert cleaned.opset_import[0].version == 9
    assert_same_answers(proto, cleaned)


def _twins(**weights: np.ndarray) -> onnx.ModelProto:
    """x @ a @ b, with whatever ``weights`` are given."""
    nodes = [node("MatMul", ["x", "a"], ["xa"], "first"), node("MatMul", ["xa", "b"], ["y"], "second")]
    return model(nodes, [value("x", FLOAT, [1, 8])], [value("y", FLOAT, [1, 8])], weights)


def test_equal_weights_are_merged(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    proto = _twins(a=weight, b=weight)
    proto.graph.initializer[1].CopyFrom(onnx.helper.make_tensor("b", FLOAT, [8, 8], weight.ravel()))  # stored in another field
    found, cleaned = _clean(proto, tmp_path)
    assert found.notes == ("1 copy of equal weights merged (256 bytes)",)
    assert _names(cleaned) == ["a"]
    assert cleaned.graph.node[1].input[1] == "a"
    assert_same_answers(proto, cleaned)


def test_a_shared_weight_stays_shared(tmp_path: Path) -> None:
    proto = _twins(a=np.eye(8, dtype=np.float32))
    proto.graph.node[1].input[1] = "a"
    found, cleaned = _clean(proto, tmp_path)
    assert found.notes == ()
    assert _names(cleaned) == ["a"]


def test_unequal_weights_are_not_merged(tmp_path: Path) -> None:
    weight = np.ones((8, 8), np.float32)
    other = weight.copy()
    other[7, 7] = 2
    assert _names(_clean(_twins(a=weight, b=other), tmp_path)[1]) == ["a", "b"]


def test_small_weights_and_biases_are_not_merged(tmp_path: Path) -> None:
    bias = np.zeros(64, np.float32)
    nodes = [node("Add", ["x", "a"], ["xa"], "first"), node("Add", ["xa", "b"], ["y"], "second")]
    proto = model(nodes, [value("x", FLOAT, [1, 64])], [value("y", FLOAT, [1, 64])], {"a": bias, "b": bias})
    assert _names(_clean(proto, tmp_path)[1]) == ["a", "b"]


def test_merged_weight_that_a_branch_reads(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    proto = _twins(a=weight, b=weight, c=weight)
    then = onnx.helper.make_graph([node("MatMul", ["x", "c"], ["o"])], "then", [], [value("o", FLOAT, [1, 8])])
    other = onnx.helper.make_graph([node("Relu", ["x"], ["o2"])], "other", [], [value("o2", FLOAT, [1, 8])])
    proto.graph.node.append(node("If", ["on"], ["z"], "if", then_branch=then, else_branch=other))
    proto.graph.input.append(value("on", onnx.TensorProto.BOOL, []))
    proto.graph.output.append(value("z", FLOAT, [1, 8]))
    _, cleaned = _clean(proto, tmp_path)
    assert _names(cleaned) == ["a"]
    feed = {"x": np.ones((1, 8), np.float32), "on": np.array(True)}
    np.testing.assert_array_equal(run(cleaned, feed)["z"], run(proto, feed)["z"])


def test_merged_weight_that_is_an_output_is_kept(tmp_path: Path) -> None:
    weight = np.eye(8, dtype=np.float32)
    proto = _twins(a=weight, b=weight)
    proto.graph.output.append(value("b", FLOAT, [8, 8]))
    _, cleaned = _clean(proto, tmp_path)
    assert _names(cleaned) == ["a", "b"]
    assert_same_answers(proto, cleaned)


def test_nodes_get_names_of_their_own(tmp_path: Path) -> None:
    proto = linear()
    proto.graph.node[0].name = ""
    proto.graph.node[1].name = "same"
    proto.graph.node[2].name = "same"
    found, cleaned = _clean(proto, tmp_path)
    assert [n.name for n in cleaned.graph.node] == ["MatMul_xw", "Add_sum", "Relu_y"]
    assert found.notes == ("3 nodes named after the output (no name before, or a shared one)",)
    assert [n.name for n in read_clean(found).graph.node] == [n.name for n in cleaned.graph.node]


def test_file_format_newer_than_onnxruntime(tmp_path: Path) -> None:
    proto = linear(ir=newest_ir_version() + 1)
    found, cleaned = _clean(proto, tmp_path)
    assert cleaned.ir_version == newest_ir_version()
    assert "ir_version" in found.notes[0]
    run(cleaned, {"x": np.ones((1, 16), np.float32)})


def test_functions_are_put_in_place(tmp_path: Path) -> None:
    opsets = [onnx.helper.make_opsetid("", 17)]
    function = onnx.helper.make_function("mine", "Double", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], opsets)
    proto = model(
        [node("Double", ["x"], ["x2"], "one", domain="mine"), node("Double", ["x2"], ["y"], "two", domain="mine")],
        [value("x", FLOAT, ["n"])],
        [value("y", FLOAT, ["n"])],
        domains={"mine": 1},
        functions=[function],
    )
    found, cleaned = _clean(proto, tmp_path)
    assert found.notes[0] == "1 function of the model's own put in place of the calls"
    assert [n.op_type for n in cleaned.graph.node] == ["Add", "Add"]
    assert [entry.domain for entry in cleaned.opset_import] == [""]
    assert_same_answers(proto, cleaned)


def test_standard_domain_is_written_plainly(tmp_path: Path) -> None:
    proto = linear()
    proto.opset_import[0].domain = "ai.onnx"
    for n in proto.graph.node:
        n.domain = "ai.onnx"
    _, cleaned = _clean(proto, tmp_path)
    assert {n.domain for n in cleaned.graph.node} == {""}
    assert [entry.domain for entry in cleaned.opset_import] == [""]
    assert_same_answers(proto, cleaned)


def test_each_reader_gets_a_copy_of_its_own(tmp_path: Path) -> None:
    found, cleaned = _clean(linear(), tmp_path)
    del cleaned.graph.node[:]
    assert len(read_clean(found).graph.node) == 3
