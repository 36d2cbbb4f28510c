from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_graphs import linear, with_external, write

from edgekit.errors import ModelError
from edgekit.frontends.external_data import check_external_data, load_external_data
from edgekit.frontends.onnx_frontend import read_clean
from edgekit.model import load_model


def _changed(path: Path, **entries: str | None) -> Path:
    """Overwrite entries of the first external tensor (None removes one)."""
    proto = onnx.load(path, load_external_data=False)
    tensor = proto.graph.initializer[0]
    kept = {entry.key: entry.value for entry in tensor.external_data} | entries
    del tensor.external_data[:]
    for key, entry in kept.items():
        if entry is not None:
            tensor.external_data.add(key=key, value=entry)
    return write(proto, path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4096))
    return with_external(linear(), folder / "m.onnx")


def _refused(path: Path, *words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    for word in words:
        assert word in str(caught.value)


def test_loaded_values(path: Path) -> None:
    proto = read_clean(load_model(path))
    expected = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in linear().graph.initializer}
    for tensor in proto.graph.initializer:
        assert not tensor.external_data
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), expected[tensor.name])


def test_offset_and_length_may_be_left_out(tmp_path: Path) -> None:
    path = with_external(linear(), tmp_path / "m.onnx")
    expected = load_model(path).fingerprint
    assert load_model(_changed(path, offset=None, length=None)).fingerprint == expected


@pytest.mark.parametrize(
    "location",
    ["../secret.bin", "sub/../../secret.bin", "/etc/passwd", "C:\\secret.bin", "..\\secret.bin", "\\\\host\\share", "a\0b"],
)
def test_location_outside_the_folder(path: Path, location: str) -> None:
    _refused(_changed(path, location=location), "outside the model's folder")


@pytest.mark.parametrize("location", ["", ".", None])
def test_location_that_names_nothing(path: Path, location: str | None) -> None:
    with pytest.raises(ModelError, match=r"named|no file name"):
        load_model(_changed(path, location=location))


def test_absolute_location_inside_the_folder(path: Path) -> None:
    _refused(_changed(path, location=str(path.with_name("weights.bin"))), "outside the model's folder")


def test_location_that_no_file_system_takes(path: Path) -> None:
    _refused(_changed(path, location="x" * 300), "is refused", "too long")


def test_missing_data_file(path: Path) -> None:
    path.with_name("weights.bin").unlink()
    _refused(path, "'weights.bin' is missing", "one folder")


def _symlink(path: Path) -> None:
    path.with_name("weights.bin").unlink()
    path.with_name("weights.bin").symlink_to(path.parent.parent / "secret.bin")


def _dangling_symlink(path: Path) -> None:
    path.with_name("weights.bin").unlink()
    path.with_name("weights.bin").symlink_to("nothing")


def _hard_link(path: Path) -> None:
    path.with_name("weights.bin").unlink()
    os.link(path.parent.parent / "secret.bin", path.with_name("weights.bin"))


def _fifo(path: Path) -> None:
    path.with_name("weights.bin").unlink()
    os.mkfifo(path.with_name("weights.bin"))


def _folder(path: Path) -> None:
    path.with_name("weights.bin").unlink()
    path.with_name("weights.bin").mkdir()


@pytest.mark.parametrize(
    ("swap", "word"),
    [
        (_symlink, "symbolic link"),
        (_dangling_symlink, "symbolic link"),
        (_hard_link, "hard link"),
        (_fifo, "regular"),
        (_folder, "regular"),
    ],
)
def test_data_file_that_is_something_else(path: Path, swap: Callable[[Path], None], word: str) -> None:
    swap(path)
    _refused(path, "'weights.bin' is refused", word)


def test_folder_on_the_way_that_is_a_link(path: Path) -> None:
    (path.parent / "sub").symlink_to(path.parent.parent)
    _refused(_changed(path, location="sub/secret.bin"), "symbolic link")


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ({"offset": "-1"}, "bad offset"),
        ({"length": "-5"}, "bad length"),
        ({"offset": "1_0"}, "bad offset"),
        ({"offset": "9" * 5000}, "bad offset"),
        ({"length": "many"}, "bad length"),
        ({"length": str(1 << 50)}, "wrong length"),
        ({"length": "8"}, "wrong length"),
        ({"offset": str(1 << 50)}, "too small"),
        ({"offset": "1000"}, "too small"),
    ],
)
def test_range_that_is_not_in_the_file(path: Path, entries: dict[str, str], word: str) -> None:
    _refused(_changed(path, **entries), word)


def test_data_file_cut_off(path: Path) -> None:
    data = path.with_name("weights.bin")
    data.write_bytes(data.read_bytes()[:-1])
    _refused(path, "'weights.bin' is too small", "cut off")


def test_huge_shape_is_refused_before_anything_is_allocated(path: Path) -> None:
    proto = onnx.load(path, load_external_data=False)
    del proto.graph.initializer[0].external_data[1:]
    proto.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    _refused(write(proto, path), "too small", str(4 << 80))


def test_negative_dimension(path: Path) -> None:
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].dims[:] = [-16, 16]
    _refused(write(proto, path), "negative dimension")


def test_external_tensor_deep_inside_is_checked_too(path: Path) -> None:
    tensor = onnx.TensorProto(name="t", data_type=onnx.TensorProto.FLOAT, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret.bin")
    inner = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["t"], ["o"])], "inner", [], [], [tensor])
    proto = linear()
    proto.graph.node.append(onnx.helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner))
    _refused(write(proto, path), "outside the model's folder")


def test_constant_node_with_external_value(tmp_path: Path) -> None:
    proto = linear()
    weight = proto.graph.initializer[0]
    proto.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=weight))
    expected = weight.raw_data
    del proto.graph.initializer[0]
    tensor = proto.graph.node[0].attribute[0].t
    (tmp_path / "w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    path = write(proto, tmp_path / "m.onnx")
    loaded = onnx.load(path, load_external_data=False)
    assert check_external_data(loaded, tmp_path) == {"w.bin": len(expected)}
    load_external_data(loaded, tmp_path)
    assert loaded.graph.node[0].attribute[0].t.raw_data == expected
    lifted = read_clean(load_model(path))
    assert {tensor.name: tensor.raw_data for tensor in lifted.graph.initializer}["w"] == expected
