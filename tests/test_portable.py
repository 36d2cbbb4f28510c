from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.portable import folders_named, portable, without_folders
from edgekit.request import DeployRequest


def test_a_request_keeps_no_folder_of_this_machine(tmp_path: Path) -> None:
    asked = DeployRequest(
        model=str(tmp_path / "sub" / "m.onnx"), calib="/elsewhere/photos", eval="tasks/eval.py:score", baseline="../up/b.onnx"
    )
    kept = portable(asked, tmp_path)
    assert kept == DeployRequest(model="sub/m.onnx", calib="photos", eval="tasks/eval.py:score", baseline="b.onnx")
    assert portable(kept, tmp_path) == kept


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/jane/x/y.onnx", "~/x/y.onnx"),
        ("cannot read /home/jane/x: why", "cannot read ~/x: why"),
        ("in /home/jane", "in ~/"),
        ("in /home/janes/x", "in /home/janes/x"),
        ("layers/home/jane/conv", "layers/home/jane/conv"),
        ("/secret/a and /secret/b", "a and b"),
        ("no folder", "no folder"),
        ("/secret/a\udcff.onnx", "a\ufffd.onnx"),
        ("odd\udcff.onnx", "odd\ufffd.onnx"),
    ],
)
def test_folders_are_taken_out_of_texts(text: str, expected: str) -> None:
    folders = {"/home/jane": "~/", "/secret": ""}
    assert without_folders({"reason": [text]}, folders) == {"reason": [expected]}


def test_names_of_the_model_are_kept_to_the_letter() -> None:
    document = {"candidate": {"keep_float": ["/home/jane/conv"]}, "files": {"/home/jane": 1}}
    assert without_folders(document, {"/home/jane": "~/"}) == document
    assert without_folders({"x": "/a/b"}, {}) == {"x": "/a/b"}


def test_the_folders_of_this_run_are_known(tmp_path: Path) -> None:
    folders = folders_named(DeployRequest(model=str(tmp_path / "m.onnx"), calib="photos"))
    assert folders[str(tmp_path)] == ""
    assert folders[str(Path.home())] == "~/"
    assert "/" not in folders
