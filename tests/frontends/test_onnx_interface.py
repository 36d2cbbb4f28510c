"""Input and output shapes: as declared, as overridden, and as they really are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_graphs import FLOAT, linear, model, node, run, value, write

from edgekit.errors import ModelError
from edgekit.frontends.onnx_frontend import read_clean
from edgekit.frontends.onnx_interface import UNKNOWN_RANK
from edgekit.model import Model, load_model
from edgekit.types import TensorSpec


def _load(proto: onnx.ModelProto, tmp_path: Path, **options: object) -> Model:
    return load_model(write(proto, tmp_path / "m.onnx"), **options)  # type: ignore[arg-type]


def _shape(entry: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in entry.type.tensor_type.shape.dim]


def _pooled(size: int | str, *, declared: list[int | str] | None = None) -> onnx.ModelProto:
    """A fully convolutional picture classifier that works at any size, exported with a pinned one."""
    return model(
        [
            node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
            node("MaxPool", ["c"], ["y"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        ],
        [value("x", FLOAT, [1, 3, size, size])],
        [value("y", FLOAT, declared)],
        {"w": np.ones((4, 3, 3, 3), np.float32)},
    )


# ---------------------------------------------------------------- free dimensions
@pytest.mark.parametrize("written", ["?", "-1", "None", "unk__3", -1, 0, None])
def test_unnamed_free_dimensions_get_names_of_their_own(tmp_path: Path, written: int | str | None) -> None:
    proto = model(
        [node("Relu", ["x"], ["y"], "relu")], [value("x", FLOAT, [written, 3, written])], [value("y", FLOAT, [written, 3, written])]
    )
    found = _load(proto, tmp_path)
    assert found.inputs == (TensorSpec("x", "float32", ("?0", 3, "?1")),)
    assert found.outputs == (TensorSpec("y", "float32", ("?out0", 3, "?out1")),)
    cleaned = read_clean(found)
    assert run(cleaned, {"x": np.ones((2, 3, 5), np.float32)})["y"].shape == (2, 3, 5)


def test_input_without_any_shape(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], ["y"], "relu")], [value("x", FLOAT, None)], [value("y", FLOAT, None)])
    with pytest.raises(ModelError, match="declares no shape") as caught:
        _load(proto, tmp_path)
    assert "--shape x=" in caught.value.hint
    found = _load(proto, tmp_path, shape={"x": [2, 5]})
    assert found.inputs[0].shape == found.outputs[0].shape == (2, 5)


# ---------------------------------------------------------------- overrides
def test_pinned_size_is_repinned(tmp_path: Path) -> None:
    proto = _pooled(224, declared=[1, 4, 112, 112])
    proto.graph.value_info.append(value("c", FLOAT, [1, 4, 224, 224]))
    found = _load(proto, tmp_path, shape={"x": [1, 3, 48, 320]})
    assert found.shape == {"x": (1, 3, 48, 320)}
    assert found.inputs == (TensorSpec("x", "float32", (1, 3, 48, 320)),)
    assert found.outputs == (TensorSpec("y", "float32", (1, 4, 24, 160)),)
    cleaned = read_clean(found)
    assert _shape(cleaned.graph.input[0]) == [1, 3, 48, 320]
    assert _shape(cleaned.graph.output[0]) == [1, 4, 24, 160]
    assert not cleaned.graph.value_info[0].type.tensor_type.HasField("shape")
    assert run(cleaned, {"x": np.ones((1, 3, 48, 320), np.float32)})["y"].shape == (1, 4, 24, 160)


def test_free_size_is_pinned_wherever_its_name_stands(tmp_path: Path) -> None:
    proto = model(
        [node("Add", ["x", "mask"], ["y"], "add")],
        [value("x", FLOAT, ["n", "t"]), value("mask", FLOAT, ["n", "t"])],
        [value("y", FLOAT, ["n", "t"])],
    )
    found = _load(proto, tmp_path, shape={"x": [1, 8]})
    assert [spec.shape for spec in (*found.inputs, *found.outputs)] == [(1, 8)] * 3


def test_override_that_the_graph_contradicts(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not work at --shape x=1x17.*its own shape is x=\?x16"):
        _load(linear(), tmp_path, shape={"x": [1, 17]})


def test_override_that_fails_only_when_run(tmp_path: Path) -> None:
    proto = model(
        [node("Reshape", ["x", "to"], ["r"], "reshape"), node("MatMul", ["r", "w"], ["y"], "matmul")],
        [value("x", FLOAT, ["n", 8]), value("to", onnx.TensorProto.INT64, [2])],
        [value("y", FLOAT, None)],
        {"w": np.ones((3, 1), np.float32)},
    )
    with pytest.raises(ModelError, match="does not work at --shape x=2x8") as caught:
        _load(proto, tmp_path, shape={"x": [2, 8]})
    assert caught.value.why


# ---------------------------------------------------------------- wrong declarations
def test_wrong_output_shape_that_inference_finds(tmp_path: Path) -> None:
    found = _load(_pooled("side", declared=[1, 4, 40, 97]), tmp_path)
    assert found.outputs[0].shape[:2] == (1, 4)
    assert all(isinstance(size, str) for size in found.outputs[0].shape[2:])
    assert found.notes == ("declared shape 1x4x40x97 of output 'y' is wrong, it is 1x4x?x?",)


def test_wrong_number_of_dimensions(tmp_path: Path) -> None:
    found = _load(_pooled(8, declared=[1, 10]), tmp_path)
    assert found.outputs == (TensorSpec("y", "float32", (1, 4, 4, 4)),)
    assert _shape(read_clean(found).graph.output[0]) == [1, 4, 4, 4]


def _computed_reshape(input_shape: list[int | str], declared: list[int | str] | None) -> onnx.ModelProto:
    """Flattens to a shape that is computed from the values' number, so that no inference sees it."""
    return model(
        [
            node("ReduceSum", ["x"], ["sum"], "sum", keepdims=0),
            node("Mul", ["sum", "zero"], ["nothing"], "mul"),
            node("Cast", ["nothing"], ["shift"], "cast", to=onnx.TensorProto.INT64),
            node("Add", ["flat", "shift"], ["to"], "add"),
            node("Reshape", ["x", "to"], ["y"], "reshape"),
        ],
        [value("x", FLOAT, input_shape)],
        [value("y", FLOAT, declared)],
        {"flat": np.array([-1], np.int64), "zero": np.array(0, np.float32)},
    )


def test_wrong_output_size_that_only_a_run_finds(tmp_path: Path) -> None:
    found = _load(_computed_reshape([2, 3], [7]), tmp_path)
    assert found.outputs == (TensorSpec("y", "float32", (6,)),)
    assert found.notes == ("declared shape 7 of output 'y' is wrong, it is 6",)


def test_output_size_that_follows_a_free_input(tmp_path: Path) -> None:
    found = _load(_computed_reshape(["n", 3], [96]), tmp_path)
    assert found.outputs == (TensorSpec("y", "float32", ("?out0",)),)


def test_right_output_size_that_no_inference_confirms(tmp_path: Path) -> None:
    found = _load(_computed_reshape([2, 3], [6]), tmp_path)
    assert found.outputs == (TensorSpec("y", "float32", (6,)),)
    assert found.notes == ()


def test_output_of_unknown_rank(tmp_path: Path) -> None:
    proto = model(
        [node("Squeeze", ["x", "axes"], ["y"], "squeeze")],
        [value("x", FLOAT, [1, 1, 5]), value("axes", onnx.TensorProto.INT64, ["n"])],
        [value("y", FLOAT, None)],
    )
    found = _load(proto, tmp_path)
    assert found.outputs[0].shape in (UNKNOWN_RANK, ("?out0", "?out1"))
    assert run(read_clean(found), {"x": np.ones((1, 1, 5), np.float32), "axes": np.array([0, 1])})["y"].shape == (5,)


def test_stale_inner_shapes_are_dropped_and_right_ones_kept(tmp_path: Path) -> None:
    proto = linear()
    proto.graph.value_info.extend([value("xw", FLOAT, [3, 3, 3]), value("sum", FLOAT, ["n", 16])])
    found = _load(proto, tmp_path)
    assert found.notes == ("declared inner shapes that do not follow from the inputs dropped: 1",)
    kept = {entry.name: entry for entry in read_clean(found).graph.value_info}
    assert not kept["xw"].type.tensor_type.HasField("shape")
    assert kept["xw"].type.tensor_type.elem_type == FLOAT
    assert _shape(kept["sum"]) == ["n", 16]
