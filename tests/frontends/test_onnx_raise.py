from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_graphs import FLOAT, assert_same_answers, linear, model, node, run, value, with_external, write

from edgekit.errors import ModelError
from edgekit.frontends import onnx_frontend, onnx_raise
from edgekit.frontends.graph import node_id, opset_of
from edgekit.frontends.onnx_frontend import read_clean, read_raised
from edgekit.model import load_model


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_frontend, "_last_raised", {})


def _raise(proto: onnx.ModelProto, tmp_path: Path, **options: object) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    found = load_model(write(proto, tmp_path / "m.onnx"), **options)  # type: ignore[arg-type]
    return read_clean(found), read_raised(found)


def _old_cnn() -> onnx.ModelProto:
    """Operators whose attributes have become inputs since opset 9."""
    return model(
        [
            node("Conv", ["x", "w"], ["conv"], "conv"),
            node("BatchNormalization", ["conv", "s", "s", "s", "s"], ["bn"], "bn"),
            node("Clip", ["bn"], ["clip"], "clip", min=0.0, max=6.0),
            node("Dropout", ["clip"], ["drop"], "drop", ratio=0.5),
            node("Pad", ["drop"], ["pad"], "pad", pads=[0, 0, 1, 1, 0, 0, 1, 1]),
            node("Upsample", ["pad", "scales"], ["up"], "up", mode="nearest"),
            node("Slice", ["up"], ["slice"], "slice", starts=[1], ends=[9], axes=[2]),
            node("ReduceSum", ["slice"], ["sum"], "sum", axes=[3], keepdims=0),
            node("Unsqueeze", ["sum"], ["unsqueeze"], "unsqueeze", axes=[0]),
            node("Squeeze", ["unsqueeze"], ["squeeze"], "squeeze", axes=[0]),
            node("Softmax", ["squeeze"], ["y"], "softmax", axis=2),
        ],
        [value("x", FLOAT, [1, 3, 8, 8])],
        [value("y", FLOAT, None)],
        {
            "w": np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32),
            "s": np.random.default_rng(1).uniform(0.5, 1, 4).astype(np.float32),
            "scales": np.array([1, 1, 2, 2], np.float32),
        },
        opset=9,
        ir=4,
    )


@pytest.mark.parametrize("opset", [9, 11, 13])
def test_simple_model(tmp_path: Path, opset: int) -> None:
    cleaned, raised = _raise(linear(opset=opset), tmp_path)
    assert opset_of(raised) == 17
    assert raised.ir_version >= 8
    assert list(raised.graph.node) == list(cleaned.graph.node)
    assert_same_answers(linear(opset=opset), raised)


def test_every_node_id_survives(tmp_path: Path) -> None:
    cleaned, raised = _raise(_old_cnn(), tmp_path)
    ids = {node_id(n): n.op_type for n in raised.graph.node}
    for n in cleaned.graph.node:
        assert ids[node_id(n)] == {"Upsample": "Resize"}.get(n.op_type, n.op_type)
    assert all(n.op_type != "Constant" for n in raised.graph.node)
    assert {n.name for n in raised.graph.node} >= {n.name for n in cleaned.graph.node}
    assert [output.name for output in raised.graph.output] == ["y"]
    onnx.checker.check_model(raised, full_check=True)
    assert_same_answers(_old_cnn(), raised)


@pytest.mark.parametrize("opset", [17, 18, 21, 22])
def test_new_enough_models_are_left_alone(tmp_path: Path, opset: int) -> None:
    cleaned, raised = _raise(linear(opset=opset), tmp_path)
    assert raised == cleaned


@pytest.mark.parametrize(
    ("operator", "shape", "axis", "nodes"),
    [
        ("Softmax", [2, 5], None, 1),
        ("Softmax", [2, 3, 5], 2, 1),
        ("Softmax", [2, 3, 5], -1, 1),
        ("Softmax", [2, 5, 1, 1], 1, 1),
        ("LogSoftmax", [2, 5], None, 1),
        ("Hardmax", [2, 5], None, 1),
        ("Softmax", [2, 3, 5], 1, 4),  # over 3 and 5 together: the reshapes are needed
    ],
)
def test_softmax_changed_meaning_in_opset_13(tmp_path: Path, operator: str, shape: list[int], axis: int | None, nodes: int) -> None:
    attributes = {} if axis is None else {"axis": axis}
    proto = model(
        [node(operator, ["x"], ["y"], "soft", **attributes)], [value("x", FLOAT, shape)], [value("y", FLOAT, shape)], opset=11
    )
    _, raised = _raise(proto, tmp_path)
    assert len(raised.graph.node) == nodes
    assert_same_answers(proto, raised)


def test_softmax_behind_a_reshape_that_inference_does_not_see_through(tmp_path: Path) -> None:
    proto = model(
        [node("Reshape", ["x", "to"], ["r"], "reshape"), node("Softmax", ["r"], ["y"], "soft", axis=2)],
        [value("x", FLOAT, [1, 6, 4]), value("to", onnx.TensorProto.INT64, ["rank"])],
        [value("y", FLOAT, None)],
        opset=11,
    )
    # the shape to take is an input: nothing but a run could tell, and zeros and ones do not suit it
    with pytest.raises(ModelError, match="could not be compared"):
        _raise(proto, tmp_path)
    proto.graph.input.pop()
    proto.graph.node.insert(0, node("Shape", ["x"], ["shape"], "shape"))
    proto.graph.node.insert(1, node("Gather", ["shape", "order"], ["to"], "gather"))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 2, 1]), "order"))
    _, raised = _raise(proto, tmp_path)
    assert [n.op_type for n in raised.graph.node] == ["Shape", "Gather", "Reshape", "Softmax"]
    assert_same_answers(proto, raised)


def test_old_file_format_without_listed_initializers(tmp_path: Path) -> None:
    proto = linear(opset=9, ir=3)
    proto.graph.input.extend(value(tensor.name, FLOAT, list(tensor.dims)) for tensor in proto.graph.initializer)
    _, raised = _raise(proto, tmp_path)
    assert [entry.name for entry in raised.graph.input] == ["x"]
    assert {tensor.name for tensor in raised.graph.initializer} == {"w", "b"}
    assert_same_answers(proto, raised)


def test_branches_are_raised_too(tmp_path: Path) -> None:
    branches = {
        f"{kind}_branch": onnx.helper.make_graph(
            [node("Squeeze", ["x"], [kind + "_s"], axes=[0]), node(operator, [kind + "_s"], [kind])],
            kind,
            [],
            [value(kind, FLOAT, None)],
        )
        for kind, operator in (("then", "Relu"), ("else", "Softmax"))
    }
    proto = model(
        [node("If", ["on"], ["y"], "if", **branches)],
        [value("x", FLOAT, [1, 2, 3]), value("on", onnx.TensorProto.BOOL, [])],
        [value("y", FLOAT, None)],
        opset=11,
    )
    _, raised = _raise(proto, tmp_path)
    for seed in range(4):
        feed = {"x": np.random.default_rng(seed).normal(size=(1, 2, 3)).astype(np.float32), "on": np.array(seed % 2 == 0)}
        np.testing.assert_allclose(run(raised, feed)["y"], run(proto, feed)["y"], rtol=1e-5)


def test_microsoft_operators_pass_through(tmp_path: Path) -> None:
    proto = model(
        [
            node("FusedMatMul", ["x", "w"], ["t"], "fused", domain="com.microsoft", alpha=0.5),
            node("Squeeze", ["t"], ["y"], "squeeze", axes=[0]),
        ],
        [value("x", FLOAT, [1, 2, 4])],
        [value("y", FLOAT, [2, 4])],
        {"w": np.eye(4, dtype=np.float32)},
        opset=11,
        domains={"com.microsoft": 1},
    )
    _, raised = _raise(proto, tmp_path)
    assert opset_of(raised) == 17
    assert opset_of(raised, "com.microsoft") == 1
    assert_same_answers(proto, raised)


def test_what_else_is_in_the_file_survives(tmp_path: Path) -> None:
    proto = linear(opset=11)
    proto.metadata_props.add(key="author", value="somebody")
    proto.graph.value_info.append(value("xw", FLOAT, ["n", 16]))
    proto.graph.quantization_annotation.add(tensor_name="xw")
    _, raised = _raise(proto, tmp_path)
    assert raised.metadata_props[0].value == "somebody"
    assert "xw" in [entry.name for entry in raised.graph.value_info]
    assert raised.graph.quantization_annotation[0].tensor_name == "xw"
    assert raised.graph.name == "graph"


def test_sparse_weights_survive(tmp_path: Path) -> None:
    proto = model([node("MatMul", ["x", "w"], ["y"], "matmul")], [value("x", FLOAT, [1, 4])], [value("y", FLOAT, [1, 4])], opset=13)
    values, places = (
        onnx.helper.make_tensor("w", FLOAT, [1], [2.0]),
        onnx.helper.make_tensor("places", onnx.TensorProto.INT64, [1], [3]),
    )
    proto.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, [4, 4]))
    _, raised = _raise(proto, tmp_path)
    assert_same_answers(proto, raised)


def test_external_weights(tmp_path: Path) -> None:
    proto = linear(opset=11, size=64)
    found = load_model(with_external(proto, tmp_path / "m.onnx"))
    assert_same_answers(proto, read_raised(found))


def test_model_too_large_to_hand_over_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_raise, "EXTERNAL_OVER_BYTES", 100)
    _, raised = _raise(linear(opset=11, size=64), tmp_path)
    assert_same_answers(linear(opset=11, size=64), raised)


def test_the_last_result_is_kept_and_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load_model(write(linear(opset=11), tmp_path / "m.onnx"))
    first = read_raised(found)
    expected = first.SerializeToString()
    del first.graph.node[:]
    monkeypatch.setattr(onnx_frontend, "raise_opset", lambda *_: pytest.fail("raised again"))
    assert read_raised(found).SerializeToString() == expected
    monkeypatch.undo()
    other = load_model(found.path, shape={"x": [1, 16]})
    assert read_raised(other).graph.input[0] != read_raised(found).graph.input[0]


# ---------------------------------------------------------------- refusals
def test_a_wrong_conversion_is_found_and_its_operator_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = onnx_raise.version_converter.convert_version

    def wrong(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        raised = convert(proto, opset)
        next(n for n in raised.graph.node if n.op_type == "Add").op_type = "Sub"
        return raised

    monkeypatch.setattr(onnx_raise.version_converter, "convert_version", wrong)
    with pytest.raises(ModelError, match="because of operator Add") as caught:
        _raise(linear(opset=11), tmp_path)
    assert "other answers" in caught.value.why
    assert "opset 17" in caught.value.hint


def test_a_lost_node_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = onnx_raise.version_converter.convert_version

    def wrong(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        raised = convert(proto, opset)
        raised.graph.node[1].output[0] = raised.graph.node[2].input[0] = "renamed"
        return raised

    monkeypatch.setattr(onnx_raise.version_converter, "convert_version", wrong)
    with pytest.raises(ModelError, match="because of operator Add"):
        _raise(linear(opset=11), tmp_path)


def test_operator_that_the_converter_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        raise RuntimeError("adapter_lookup: Assertion `false` failed: No Adapter To Version $17 for Scan")

    monkeypatch.setattr(onnx_raise.version_converter, "convert_version", fails)
    with pytest.raises(ModelError, match="from opset 11 to 17 because of operator Scan"):
        _raise(linear(opset=11), tmp_path)
