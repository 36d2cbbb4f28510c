"""What a package is made of: a bundle that is verified, and a contract that generated code can rely on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.packages import PICTURES, artifact_bundle, digits_onnx, digits_tflite, labels_file
from support.reports import full_report

from edgekit.bundle import write_bundle
from edgekit.errors import DataError, EdgekitError, IntegrityError, ModelError, UsageError
from edgekit.manifest import self_hash
from edgekit.packaging.golden import pack_golden
from edgekit.packaging.source import read_source
from edgekit.types import TensorMap, TensorSpec


def test_a_bundle_is_read_into_all_that_a_package_needs(tmp_path: Path) -> None:
    source = read_source(digits_tflite(tmp_path / "bundle", options={"threads": 3}), labels=labels_file(tmp_path))
    assert (source.name, source.version, source.group, source.kind) == ("digits", "1.0.0", "local.models", ".tflite")
    assert source.threads == 3
    assert source.preprocess == PICTURES
    assert source.labels[3] == "three"
    assert [source.shape(tensor) for tensor in source.artifact.io] == [(1, 1, 28, 28), (1, 10)]
    assert source.model_bytes == source.entry.stat().st_size
    assert source.bundle_sha256 == hashlib.sha256((tmp_path / "bundle" / "edgekit.json").read_bytes()).hexdigest()


def test_threads_that_are_none_are_one(tmp_path: Path) -> None:
    source = read_source(digits_onnx(tmp_path / "bundle"))
    for threads in (True, 0, 1 << 20, 2.0, "3", None):
        found = replace(source, options={"threads": threads}).threads
        assert (found, type(found)) == (1, int)


def test_the_golden_file_holds_the_arrays_at_the_places_it_names(tmp_path: Path) -> None:
    source = read_source(digits_onnx(tmp_path / "bundle"))
    data, entries = pack_golden(source)
    assert [(entry.role, entry.name) for entry in entries] == [("input", "image"), ("output", "logits")]
    for entry, arrays in zip(entries, (source.golden.inputs, source.golden.outputs), strict=True):
        assert entry.offset_bytes % 8 == 0
        found = np.frombuffer(data, "<f4", int(np.prod(entry.shape)), entry.offset_bytes).reshape(entry.shape)
        np.testing.assert_array_equal(found, arrays[entry.name])


def test_free_axes_stay_free_and_the_batch_is_one(tmp_path: Path) -> None:
    """Names as PyTorch gives them, which look like absolute paths."""
    names = ("/model/tokens", "/model/../Add_output_0")
    graph = helper.make_graph(
        [helper.make_node("Add", [names[0], names[0]], [names[1]])],
        "free",
        [helper.make_tensor_value_info(names[0], TensorProto.FLOAT, ["batch", "length", 4])],
        [helper.make_tensor_value_info(names[1], TensorProto.FLOAT, ["batch", "length", 4])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    specs = [TensorSpec(name, "float32", ("batch", "length", 4)) for name in names]
    io = (TensorMap("input", specs[0], specs[0]), TensorMap("output", specs[1], specs[1]))
    bundle = artifact_bundle(
        tmp_path / "b", tmp_path / "m.onnx", io, preprocess=None, feed={names[0]: np.ones((1, 7, 4), np.float32)}
    )
    source = read_source(bundle)
    assert [source.shape(tensor) for tensor in source.artifact.io] == [(1, None, 4), (1, None, 4)]
    np.testing.assert_array_equal(source.golden.outputs[names[1]], np.full((1, 7, 4), 2, np.float32))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("name", "Digits"), ("name", "-x"), ("name", "a--b"), ("name", "../up"), ("name", "x" * 65), ("name", "a\n"),
        ("version", "1.0"), ("version", "1.0.0'"), ("version", "01.0.0"), ("version", "1.0.0+build"),
        ("group", "com"), ("group", "com.Example"), ("group", "com..example"), ("group", "com.new"), ("group", "../com.example"),
    ],
)  # fmt: skip
def test_names_that_are_none_are_refused(tmp_path: Path, option: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"--{option}"):
        read_source(digits_onnx(tmp_path / "bundle"), **{option: text})


def test_a_refused_name_is_told_its_whole_form(tmp_path: Path) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    with pytest.raises(UsageError) as error:
        read_source(bundle, name="9lives")
    assert "a letter first" in error.value.why
    with pytest.raises(UsageError) as error:
        read_source(bundle, group="com.Example")
    assert "lower-case words" in error.value.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a\nb\n", "2 labels"), ("\n".join("abcdefghi") + "\n\x1bj\n", "line 10"), ("\n".join("abcdefghi") + "\n\nk\n", "line 10"),
        ("x" * 257, "line 1"),
    ],
)  # fmt: skip
def test_labels_that_are_none_are_refused(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "labels.txt").write_text(content)
    with pytest.raises(DataError, match=why):
        read_source(digits_onnx(tmp_path / "bundle"), labels=tmp_path / "labels.txt")


def test_labels_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot read the labels"):
        read_source(digits_onnx(tmp_path / "bundle"), labels=tmp_path / "labels.txt")


def test_a_bundle_without_a_winner_is_no_package(tmp_path: Path) -> None:
    write_bundle(tmp_path / "evidence", report=full_report(winner=None), artifact=None, artifact_folder=None, runner=None)
    with pytest.raises(UsageError, match="holds no artifact"):
        read_source(tmp_path / "evidence")


def rewritten(bundle: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The manifest changed, and made to fit itself again: whoever can write a bundle can do that."""
    document = json.loads((bundle / "edgekit.json").read_text())
    change(document)
    document["self_sha256"] = self_hash(document)
    (bundle / "edgekit.json").write_text(json.dumps(document))
    return bundle


def _twice(document: dict[str, Any]) -> None:
    document["artifact"]["io"].append(document["artifact"]["io"][0])


def _text(document: dict[str, Any]) -> None:
    document["artifact"]["io"][0]["original"]["dtype"] = "object"


def _sizes(document: dict[str, Any]) -> None:
    document["artifact"]["io"][0]["artifact"]["shape"] = [1, 28, 28, 1]


def _permutation(document: dict[str, Any]) -> None:
    document["artifact"]["io"][0]["permutation"] = [0, 0, 1, 2]


def _scale(document: dict[str, Any]) -> None:
    document["artifact"]["io"][0]["scale"] = -1.0


def _huge(document: dict[str, Any]) -> None:
    document["artifact"]["io"][1]["original"]["shape"] = [1, 1 << 40]


def _pictures(document: dict[str, Any]) -> None:
    document["calibration"]["preprocess"]["resize"] = [16384, 16384]


def _no_pictures(document: dict[str, Any]) -> None:
    document["calibration"]["preprocess"] = {"schema": 1, "resize": "everything"}


def _golden(document: dict[str, Any]) -> None:
    document["golden"]["outputs"] = document["golden"]["inputs"]


def _winner(document: dict[str, Any]) -> None:
    document["winner"]["id"] = "onnx/none"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_twice, IntegrityError), (_text, ModelError), (_sizes, IntegrityError), (_permutation, IntegrityError),
        (_scale, IntegrityError), (_huge, IntegrityError), (_pictures, IntegrityError), (_no_pictures, IntegrityError),
        (_golden, IntegrityError), (_winner, IntegrityError),
    ],
)  # fmt: skip
def test_a_contract_that_contradicts_itself_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], error: type[EdgekitError]
) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    read_source(rewritten(bundle, lambda document: None))
    with pytest.raises(error):
        read_source(rewritten(bundle, change))
