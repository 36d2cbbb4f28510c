from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.onnx_graphs import FLOAT, linear, model, node, value, with_external, write
from support.small_models import classifier

from edgekit.errors import ModelError, UsageError
from edgekit.frontends.onnx_frontend import read_clean, read_raised, save
from edgekit.model import Model, load_model
from edgekit.types import TensorSpec


def _refused(path: Path, *words: str, **options: object) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_model(path, **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 4
    for word in words:
        assert word in str(caught.value)
    return caught.value


# ---------------------------------------------------------------- what a model is
@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21, 22])
def test_model_of_every_opset(tmp_path: Path, opset: int) -> None:
    path = write(linear(opset=opset), tmp_path / "m.onnx")
    found = load_model(path)
    assert found.path == path
    assert found.format == "onnx"
    assert found.opset == opset
    assert found.inputs == (TensorSpec("x", "float32", ("n", 16)),)
    assert found.outputs == (TensorSpec("y", "float32", ("n", 16)),)
    assert found.size_bytes == path.stat().st_size
    assert found.quantized is None
    assert found.notes == ()
    assert found.shape == {}
    read_raised(found)


def test_model_is_frozen_and_hashable(tmp_path: Path) -> None:
    path = write(linear(), tmp_path / "m.onnx")
    one, two = load_model(path, shape={"x": [1, 16]}), load_model(str(path), shape={"x": (1, 16)})
    assert one == two
    assert len({one, two}) == 1
    with pytest.raises(AttributeError):
        one.opset = 3  # type: ignore[misc]


def test_several_inputs_of_other_types(tmp_path: Path) -> None:
    proto = model(
        [node("Cast", ["ids"], ["f"], to=FLOAT), node("Add", ["f", "x"], ["s"]), node("Where", ["mask", "s", "x"], ["y"])],
        [value("ids", onnx.TensorProto.INT64, [1, "t"]), value("x", FLOAT, [1, "t"]), value("mask", onnx.TensorProto.BOOL, [])],
        [value("y", FLOAT, None)],
    )
    found = load_model(write(proto, tmp_path / "m.onnx"))
    assert found.inputs == (
        TensorSpec("ids", "int64", (1, "t")),
        TensorSpec("x", "float32", (1, "t")),
        TensorSpec("mask", "bool", ()),
    )
    assert found.outputs == (TensorSpec("y", "float32", (1, "t")),)


@pytest.mark.parametrize("name", ["If", "Loop"])
def test_control_flow(tmp_path: Path, name: str) -> None:
    found = load_model(write(_control_flow(name), tmp_path / "m.onnx"))
    assert read_raised(found).graph.node[-1].op_type == name


def _control_flow(name: str) -> onnx.ModelProto:
    make = onnx.helper.make_graph
    if name == "If":
        branches = {
            f"{kind}_branch": make([node(operator, ["x"], [kind])], kind, [], [value(kind, FLOAT, ["n", 4])])
            for kind, operator in (("then", "Relu"), ("else", "Neg"))
        }
        nodes = [node("If", ["c"], ["y"], **branches)]
        return model(
            nodes, [value("x", FLOAT, ["n", 4]), value("c", onnx.TensorProto.BOOL, [])], [value("y", FLOAT, ["n", 4])], opset=11
        )
    integer, boolean = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    body = make(
        [node("Identity", ["on"], ["on_out"]), node("Add", ["a", "a"], ["a_out"])],
        "body",
        [value("i", integer, []), value("on", boolean, []), value("a", FLOAT, [1, 4])],
        [value("on_out", boolean, []), value("a_out", FLOAT, [1, 4])],
    )
    return model([node("Loop", ["times", "", "x"], ["y"], body=body)], [value("x", FLOAT, [1, 4])], [value("y", FLOAT, [1, 4])],
                 {"times": np.array(3, np.int64)}, opset=11)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_model_in_half_precision_is_told_why_no_integers_are_tried(tmp_path: Path, dtype: type) -> None:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    proto = model(
        [node("MatMul", ["x", "w"], ["y"])],
        [value("x", kind, ["n", 8])],
        [value("y", kind, ["n", 8])],
        {"w": np.ones((8, 8), dtype)},
    )
    onnx.save(proto, str(tmp_path / "m.onnx"))
    found = [note for note in load_model(tmp_path / "m.onnx").notes if "export the model in float32" in note]
    assert len(found) == (dtype is np.float16)


def test_input_that_is_also_an_output(tmp_path: Path) -> None:
    entry = value("ids", onnx.TensorProto.INT64, ["n"])
    proto = model([node("Cast", ["ids"], ["y"], to=FLOAT)], [entry], [value("y", FLOAT, ["n"]), entry], opset=11)
    found = load_model(write(proto, tmp_path / "m.onnx"))
    assert [spec.name for spec in found.outputs] == ["y", "ids"]
    assert [output.name for output in read_raised(found).graph.output] == ["y", "ids"]


# ---------------------------------------------------------------- fingerprint
def test_fingerprint_does_not_depend_on_where_things_are(tmp_path: Path) -> None:
    proto = linear(size=32)
    (tmp_path / "other").mkdir()
    inline = load_model(write(proto, tmp_path / "inline.onnx"))
    external = load_model(with_external(proto, tmp_path / "external.onnx", data="a.bin"))
    renamed = load_model(with_external(proto, tmp_path / "other" / "renamed.onnx", data="sub/b.bin"))
    assert inline.fingerprint == external.fingerprint == renamed.fingerprint
    assert external.size_bytes == sum((tmp_path / name).stat().st_size for name in ("external.onnx", "a.bin"))


def test_fingerprint_changes_with_every_part(tmp_path: Path) -> None:
    proto = linear()
    path = write(proto, tmp_path / "m.onnx")
    seen = {
        load_model(path).fingerprint,
        load_model(path, shape={"x": [1, 16]}).fingerprint,
        load_model(path, shape={"x": [2, 16]}).fingerprint,
    }
    proto.graph.node[0].name = "renamed"
    seen.add(load_model(write(proto, tmp_path / "n.onnx")).fingerprint)
    seen.add(load_model(write(linear(seed=1), tmp_path / "w.onnx")).fingerprint)
    external = with_external(linear(), tmp_path / "e.onnx")
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[5] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    seen.add(load_model(external).fingerprint)
    assert len(seen) == 6


def test_reading_after_the_file_changed(tmp_path: Path) -> None:
    path = write(linear(), tmp_path / "m.onnx")
    found = load_model(path)
    write(linear(seed=1), path)
    with pytest.raises(ModelError, match="has changed"):
        read_clean(found)


def test_the_users_files_stay_as_they_are(tmp_path: Path) -> None:
    path = with_external(linear(opset=11), tmp_path / "m.onnx")
    data = tmp_path / "weights.bin"
    for file in (path, data):
        os.utime(file, (1_000_000, 1_000_000))
        file.chmod(0o444)
    before = [(hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns) for file in (path, data)]
    found = load_model(path, shape={"x": [3, 16]})
    read_clean(found)
    save(read_raised(found), tmp_path / "out" / "raised.onnx", external_over_bytes=0)
    assert before == [(hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns) for file in (path, data)]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["m.onnx", "out", "weights.bin"]


# ---------------------------------------------------------------- refusals
def test_missing_file(tmp_path: Path) -> None:
    _refused(tmp_path / "none.onnx", "no model at", "none.onnx")


def test_folder(tmp_path: Path) -> None:
    _refused(tmp_path, "folder")


def test_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.onnx")
    _refused(tmp_path / "m.onnx", "regular file")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m.pt", ["pickle", "code", "torch.export.save", "torch.onnx.export"]),
        ("m.PTH", ["pickle"]),
        ("m.pt2", ["not a whole .pt2", "torch.export.save"]),
        ("m.tflite", ["not a TFLite model", "TFL3"]),
        ("m.h5", [".h5", ".onnx"]),
        ("model", ["nothing", ".onnx"]),
    ],
)
def test_other_formats(tmp_path: Path, name: str, words: list[str]) -> None:
    (tmp_path / name).write_bytes(b"anything")
    _refused(tmp_path / name, *words)


@pytest.mark.parametrize("data", [b"", b"not a model", b"<html><body>404</body></html>", b"PK\x03\x04", bytes(1000), b"\xff" * 100])
def test_not_onnx(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    assert _refused(tmp_path / "m.onnx", "m.onnx").why


def test_git_lfs_pointer(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    _refused(tmp_path / "m.onnx", "git lfs pull")


def test_cut_off_at_every_byte(tmp_path: Path) -> None:
    proto = linear(size=3, opset=11)
    whole = proto.SerializeToString()
    path = tmp_path / "m.onnx"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        _refused(path)


_WHOLE = linear(size=4).SerializeToString()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(_WHOLE) - 1), st.integers(1, 255))
@example(20, 0xFF)
def test_a_damaged_byte_is_refused_or_harmless(tmp_path: Path, position: int, change: int) -> None:
    data = bytearray(_WHOLE)
    data[position] ^= change
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with contextlib.suppress(ModelError):  # and nothing else
        assert isinstance(load_model(path), Model)


def test_old_opset(tmp_path: Path) -> None:
    _refused(write(linear(opset=8), tmp_path / "m.onnx"), "opset 8", "before 9", "opset 17")


def test_opset_from_the_future(tmp_path: Path) -> None:
    _refused(write(linear(opset=90), tmp_path / "m.onnx"), "ONNX Runtime cannot load")


def test_no_opset(tmp_path: Path) -> None:
    proto = linear()
    del proto.opset_import[:]
    _refused(write(proto, tmp_path / "m.onnx"), "opset")


@pytest.mark.parametrize(
    ("domain", "operator", "imported"),
    [
        ("my.ops", "Magic", True),
        ("my.ops", "Magic", False),
        ("", "Reluu", True),
        ("com.microsoft", "FastMagic", True),
        ("ai.onnx.ml", "Magic", True),
    ],
)
def test_unknown_operators_are_named(tmp_path: Path, domain: str, operator: str, imported: bool) -> None:
    ends = [value("x", FLOAT, [1])], [value("y", FLOAT, [1])]
    proto = model([node(operator, ["x"], ["y"], domain=domain)], *ends, domains={domain: 1} if imported and domain else {})
    error = _refused(write(proto, tmp_path / "m.onnx"), "does not know", f"{domain or 'ai.onnx'}.{operator}")
    assert "never loaded" in error.why


def test_unknown_operator_inside_a_branch(tmp_path: Path) -> None:
    proto = _control_flow("If")
    proto.graph.node[0].attribute[0].g.node[0].op_type = "Magic"
    _refused(write(proto, tmp_path / "m.onnx"), "ai.onnx.Magic")


def test_text_input_and_output(tmp_path: Path) -> None:
    text = onnx.TensorProto.STRING
    proto = model([node("Identity", ["x"], ["y"])], [value("x", text, [1])], [value("y", text, [1])])
    _refused(write(proto, tmp_path / "m.onnx"), "'x' takes text", "tokenizers")
    table = {"default_string": "none", "keys_int64s": [1], "values_strings": ["one"]}
    proto = model(
        [node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **table)],
        [value("x", onnx.TensorProto.INT64, [1])],
        [value("y", text, [1])],
        domains={"ai.onnx.ml": 2},
    )
    _refused(write(proto, tmp_path / "m.onnx"), "'y' gives text")


def test_output_that_is_no_tensor(tmp_path: Path) -> None:
    output = onnx.helper.make_tensor_sequence_value_info("y", FLOAT, None)
    proto = model([node("SequenceConstruct", ["x"], ["y"])], [value("x", FLOAT, [1])], [output])
    _refused(write(proto, tmp_path / "m.onnx"), "sequence", "ZipMap")


def test_input_type_that_numpy_lacks(tmp_path: Path) -> None:
    bfloat16 = onnx.TensorProto.BFLOAT16
    proto = model([node("Cast", ["x"], ["y"], to=FLOAT)], [value("x", bfloat16, [1])], [value("y", FLOAT, [1])])
    _refused(write(proto, tmp_path / "m.onnx"), "bfloat16")


def test_no_inputs(tmp_path: Path) -> None:
    proto = model([node("Relu", ["w"], ["y"])], [], [value("y", FLOAT, [1])], {"w": np.ones(1, np.float32)})
    _refused(write(proto, tmp_path / "m.onnx"), "no inputs")


def test_tensor_with_too_few_bytes(tmp_path: Path) -> None:
    proto = linear()
    proto.graph.initializer[0].dims[0] = 1 << 40
    _refused(write(proto, tmp_path / "m.onnx"), "'w' is not whole", str((1 << 40) * 16 * 4))


# ---------------------------------------------------------------- --shape
def test_shape_of_a_wrong_input(tmp_path: Path) -> None:
    path = write(linear(), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="'pixels'") as caught:
        load_model(path, shape={"pixels": [1, 16]})
    assert "x=nx16" in caught.value.hint
    with pytest.raises(UsageError, match="3 dimensions"):
        load_model(path, shape={"x": [1, 1, 16]})


@pytest.mark.parametrize("sizes", [[0, 16], [-1, 16], [True, 16], [1.0, 16], "1x16", None, 1.5])
def test_shape_that_is_none(tmp_path: Path, sizes: Any) -> None:
    with pytest.raises(UsageError, match="positive integer"):
        load_model(write(linear(), tmp_path / "m.onnx"), shape={"x": sizes})


def test_shape_in_other_integers(tmp_path: Path) -> None:
    path = write(linear(), tmp_path / "m.onnx")
    model = load_model(path, shape={"x": np.array([2, 16])})  # type: ignore[dict-item]
    assert model == load_model(path, shape={"x": (2, 16)})
    assert type(model.inputs[0].shape[0]) is int
    with pytest.raises(UsageError, match="1 dimensions"):
        load_model(path, shape={"x": 2})  # type: ignore[dict-item]


# ---------------------------------------------------------------- quiet and lazy
def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    proto = linear(opset=11, ir=3)
    proto.graph.input.extend(value(tensor.name, FLOAT, list(tensor.dims)) for tensor in proto.graph.initializer)
    proto.graph.output[0].CopyFrom(value("y", FLOAT, [7, 99]))
    read_raised(load_model(write(proto, tmp_path / "m.onnx")))
    assert capfd.readouterr() == ("", "")


def test_importing_the_module_is_light() -> None:
    code = "import sys, edgekit.model; print([m for m in ('numpy', 'onnx', 'onnxruntime') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_shape_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too large: it is 99999999999x64"):
        load_model(classifier(tmp_path / "m.onnx"), shape={"x": [99999999999, 64]})


def test_a_shape_that_a_fixed_graph_cannot_take_is_blamed_not_the_export(tmp_path: Path) -> None:
    model = classifier(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="does not work at --shape x=1x1x8x9") as raised:
        load_model(model, shape={"x": [1, 1, 8, 9]})
    assert "its own shape is x=1x1x8x8" in raised.value.hint
    assert "opset" not in raised.value.hint
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(ModelError) as raised:
        load_model(model, shape={"x": [1, 1, 8, 9]})
    assert "--shape" not in str(raised.value)


def test_a_graph_without_operators(tmp_path: Path) -> None:
    ends = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])]
    graph = onnx.helper.make_graph([], "same", ends, ends)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="has no operators") as raised:
        load_model(tmp_path / "m.onnx")
    assert raised.value.hint
