"""Every mistake a user makes: its exit code, one line of cause, a hint, no traceback, and nothing written."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from support.commands import document, edgekit_forked
from support.requirements import missing
from support.small_models import calibration, classifier, images, labelled


@dataclass(frozen=True)
class Place:
    folder: Path
    model: Path
    calib: Path
    out: Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, classifier(tmp_path / "model.onnx"), calibration(tmp_path / "calib.npz"), tmp_path / "out")


def _refused(place: Place, code: int, *said: str, args: list[str | Path]) -> None:
    """Runs ``edgekit deploy --json``, which says it both ways: to people on stderr, and as a document on stdout."""
    before = set(place.folder.rglob("*"))
    shown = edgekit_forked("deploy", *args, "-o", place.out, "--json", cwd=place.folder)
    assert shown.returncode == code, shown.stderr
    assert "Traceback" not in shown.stderr
    flat = " ".join(shown.stderr.split())
    for text in said:
        assert text in flat
    parsed = document(shown)
    assert parsed["schema"] == "edgekit.error/1"
    assert parsed["exit_code"] == code
    assert parsed["what"]
    assert parsed["hint"]
    assert f"edgekit: {parsed['what']}" in shown.stderr
    assert set(place.folder.rglob("*")) == before


@pytest.mark.parametrize(("code", "args"), [(2, ["model.onnx", "--target", "onx"]), (4, ["nothing.onnx", "--target", "onnx"])])
def test_without_json_the_same_is_said_and_stdout_is_empty(place: Place, code: int, args: list[str]) -> None:
    plain = edgekit_forked("deploy", *args, "-o", place.out, cwd=place.folder)
    assert (plain.returncode, plain.stdout) == (code, "")
    both = edgekit_forked("deploy", *args, "-o", place.out, "--json", cwd=place.folder)
    assert (both.returncode, both.stderr) == (code, plain.stderr)
    assert document(both)["exit_code"] == code


def test_a_missing_model(place: Place) -> None:
    _refused(place, 4, "nothing.onnx", args=["nothing.onnx", "--target", "onnx"])


def test_a_truncated_model(place: Place) -> None:
    place.model.write_bytes(place.model.read_bytes()[:-500])
    _refused(place, 4, "model.onnx", args=[place.model, "--target", "onnx"])


def test_external_data_outside_the_folder(place: Place) -> None:
    secret = place.folder / "secret.bin"
    secret.write_bytes(b"\0" * 4096)
    inner = place.folder / "inner"
    inner.mkdir()
    model = onnx.load(place.model)
    tensor = next(t for t in model.graph.initializer if t.name == "conv_w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret.bin"), ("offset", "0"), ("length", "2304")):
        tensor.external_data.add(key=key, value=value)
    (inner / "model.onnx").write_bytes(model.SerializeToString())
    _refused(place, 4, "../secret.bin", args=[inner / "model.onnx", "--target", "onnx"])


def test_a_wrong_input_name(place: Place) -> None:
    np.savez(place.calib, pixels=images(60))
    _refused(place, 4, "pixels", "x", args=[place.model, "--target", "onnx", "--calib", place.calib])


def test_a_wrong_dtype(place: Place) -> None:
    np.savez(place.calib, x=images(60).astype(np.float64))
    _refused(place, 4, "float64", "float32", args=[place.model, "--target", "onnx", "--calib", place.calib])


def test_nan_in_the_calibration_data(place: Place) -> None:
    data = images(60)
    data[17, 0, 3, 3] = np.nan
    np.savez(place.calib, x=data)
    _refused(place, 4, "17", args=[place.model, "--target", "onnx", "--calib", place.calib])


def test_an_empty_folder(place: Place) -> None:
    empty = place.folder / "empty"
    empty.mkdir()
    _refused(place, 4, "empty", args=[place.model, "--target", "onnx", "--calib", empty])


def test_one_corrupt_image_among_many(place: Place) -> None:
    photos = place.folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for index in range(50):
        Image.fromarray(rng.integers(0, 255, (10, 12, 3), dtype=np.uint8)).save(photos / f"{index:03}.png")
    broken = photos / "031.png"
    broken.write_bytes(broken.read_bytes()[:60])
    (photos / "preprocess.toml").write_text(
        'schema = 1\ncolor = "gray"\nresize = [8, 8]\nfilter = "bilinear"\nmean = [0.5]\nstd = [0.5]\nlayout = "NCHW"\n'
    )
    _refused(place, 4, "031.png", args=[place.model, "--target", "onnx", "--calib", photos])


def test_calibration_equal_to_evaluation(place: Place) -> None:
    data = labelled(place.folder / "data.npz")
    with np.load(data) as loaded:
        np.savez(place.calib, x=loaded["x"])
    _refused(
        place,
        4,
        "calibration",
        args=[place.model, "--target", "onnx", "--calib", place.calib, "--eval", data, "--metric", "accuracy"],
    )


def test_an_unknown_target_names_the_nearest(place: Place) -> None:
    _refused(place, 2, "'onx'", "onnx", args=[place.model, "--target", "onx"])


def test_an_unknown_key_in_the_configuration(place: Place) -> None:
    (place.folder / "edgekit.toml").write_text('[deploy]\ntarget = "onnx"\nmax_drp = "1%"\n')
    _refused(place, 2, "max_drp", "max", args=[place.model])


def test_a_setting_that_no_target_knows_is_refused(place: Place) -> None:
    _refused(place, 2, "none of the targets onnx knows --sparsity", args=[place.model, "--target", "onnx", "--sparsity", "on"])


def test_an_output_that_is_something_else(place: Place) -> None:
    place.out.mkdir()
    (place.out / "thesis.txt").write_text("precious")
    _refused(place, 4, "out", args=[place.model, "--target", "onnx"])
    assert (place.out / "thesis.txt").read_text() == "precious"


def test_an_output_that_cannot_be_written(place: Place) -> None:
    (place.folder / "file").write_text("")
    shown = edgekit_forked(
        "deploy", place.model, "--target", "onnx", "--precision", "fp32", "--budget", "1s", "-o", place.folder / "file" / "out"
    )
    assert shown.returncode == 4, shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.needs_root
@pytest.mark.parametrize("what", ["output", "home"])
def test_a_full_disk(place: Place, what: str) -> None:
    if os.geteuid() != 0:
        missing("a small disk can only be mounted by root")
    disk = place.folder / "disk"
    disk.mkdir()
    big = classifier(place.folder / "big.onnx", hidden=2048, classes=64)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        out = disk / "out" if what == "output" else place.out
        env = {} if what == "output" else {"EDGEKIT_HOME": str(disk / "home"), "EDGEKIT_GUEST_HOME": str(disk / "guest")}
        shown = edgekit_forked("deploy", big, "--target", "onnx", "--precision", "fp32", "--budget", "1s", "-o", out, env=env)
        assert shown.returncode in ((4,) if what == "output" else (4, 7)), shown.stderr
        assert "space" in shown.stderr
        assert "Traceback" not in shown.stderr
        assert not out.exists()
        left = [p for p in disk.rglob("*") if p.name.endswith(".tmp")]
        assert left == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_model_with_an_operator_nobody_knows(place: Place) -> None:
    node = helper.make_node("Teleport", ["x"], ["logits"], domain="com.example")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), place.model)
    _refused(place, 4, "Teleport", args=[place.model, "--target", "onnx"])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-drop", "lots"),
        ("--precision", "int7"),
        ("--threads", "0"),
        ("--budget", "soon"),
        ("--objective", "beauty"),
        ("--shape", "x"),
    ],
)
def test_an_option_that_cannot_be_read(place: Place, option: str, value: str) -> None:
    shown = edgekit_forked("deploy", place.model, "--target", "onnx", option, value)
    assert shown.returncode == 2, shown.stderr
    assert option in shown.stderr or value in shown.stderr


def test_values_that_the_model_does_not_take_are_the_datas_fault(place: Place) -> None:
    table = onnx.numpy_helper.from_array(np.zeros((10, 4), np.float32), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["y"])], "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4])], [table],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), place.model)
    np.savez(place.calib, ids=np.arange(150, dtype=np.int64).reshape(50, 3))
    _refused(place, 4, "ids 1x3", args=[place.model, "--target", "onnx", "--calib", place.calib])
