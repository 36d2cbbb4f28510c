"""``edgekit package``: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.commands import document, edgekit_forked
from support.packages import ONNX_IO, digits_onnx, labels_file
from support.reports import full_report
from support.schemas import validator

from edgekit.bundle import write_bundle
from edgekit.manifest import check_bundle
from edgekit.types import Artifact, Runner, sha256_file

SOURCES = ("--format", "android", "--sources-only")


def test_one_document_says_what_was_written(tmp_path: Path) -> None:
    bundle, out = digits_onnx(tmp_path / "bundle"), tmp_path / "out"
    result = edgekit_forked("package", bundle, *SOURCES, "--labels", labels_file(tmp_path), "-o", out, "--json")
    assert result.returncode == 0, result.stderr
    report = document(result)
    validator("package").validate(report)
    assert report["output"] == str(out)
    for path, entry in report["files"].items():
        assert (out / path).stat().st_size == entry["size_bytes"]
    model = bundle / "artifact" / "model.onnx"
    assert report["model_bytes"] == model.stat().st_size < report["delivered_bytes"] < report["size_bytes"]
    assert report["bundle_sha256"] == check_bundle(bundle).manifest_sha256
    assert "phone" in " ".join(report["not_verified"])
    assert "packaging digits for android" in result.stderr


def test_people_read_the_package_s_size_beside_the_model_s(tmp_path: Path) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    result = edgekit_forked("package", bundle, *SOURCES, "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "digits 1.0.0 for android, made of onnx/float32" in result.stdout
    assert "the app gets" in result.stdout
    assert "the model's 210 kB and" in result.stdout
    assert "not verified by edgekit's own tests: the Gradle module was not built" in result.stdout
    again = edgekit_forked("package", bundle, *SOURCES, "-o", tmp_path / "out")
    assert again.returncode == 4
    assert "--force" in again.stderr
    assert edgekit_forked("package", bundle, *SOURCES, "-o", tmp_path / "out", "--force").returncode == 0


def test_an_artifact_that_android_cannot_run_is_a_usage_error(tmp_path: Path) -> None:
    """OpenVINO's two files; what is in them is not looked at."""
    bundle, work = tmp_path / "bundle", tmp_path / "work"
    work.mkdir()
    for name in ("model.xml", "model.bin"):
        (work / name).write_bytes(b"<net/>")
    files = {name: sha256_file(work / name) for name in ("model.xml", "model.bin")}
    runner = Runner((), "device", ("openvino",), tuple(files), {"entry": "model.xml", "threads": 1})
    golden = {
        "golden_inputs": {"image": np.zeros((1, 1, 28, 28), np.float32)},
        "golden_outputs": {"logits": np.zeros((1, 10), np.float32)},
    }
    artifact = Artifact(files, "model.xml", ONNX_IO)
    write_bundle(bundle, report=full_report(), artifact=artifact, artifact_folder=work, runner=runner, **golden)
    result = edgekit_forked("package", bundle, "--format", "android", "-o", tmp_path / "out", "--json")
    assert result.returncode == 2
    assert "no runtime there loads .xml files" in document(result)["why"]
    assert "--target tflite or onnx" in document(result)["hint"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--format", "symbian"), 2, "symbian"),
        (("--format", "android", "--name", "No Such"), 2, "--name"),
        (("--format", "android", "--min-sdk", "4"), 2, "--min-sdk"),
        (("--format", "web", "--min-sdk", "24"), 2, "no meaning with --format web"),
        (("--format", "android", "--labels", "nowhere.txt"), 4, "nowhere.txt"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = edgekit_forked("package", digits_onnx(tmp_path / "bundle"), *arguments, "-o", tmp_path / "out")
    assert result.returncode == code, result.stderr
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_force_does_not_take_the_labels_that_are_read(tmp_path: Path) -> None:
    bundle, out = digits_onnx(tmp_path / "bundle"), tmp_path / "out"
    out.mkdir()
    labels = labels_file(out)
    result = edgekit_forked("package", bundle, *SOURCES, "--labels", labels, "-o", out, "--force")
    assert result.returncode == 2, result.stderr
    assert labels.exists()


def test_who_made_a_package_cannot_be_asked(tmp_path: Path) -> None:
    bundle, out = digits_onnx(tmp_path / "bundle"), tmp_path / "out"
    assert edgekit_forked("package", bundle, *SOURCES, "-o", out).returncode == 0
    assert edgekit_forked("check", out).returncode == 0
    for question in (("--identity", "me@example.org"), ("--signers", tmp_path / "signers")):
        result = edgekit_forked("check", out, *question)
        assert result.returncode == 2
        assert "carries no signature" in result.stderr


def test_a_damaged_bundle_is_refused(tmp_path: Path) -> None:
    bundle = digits_onnx(tmp_path / "bundle")
    with (bundle / "artifact" / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    result = edgekit_forked("package", bundle, *SOURCES, "-o", tmp_path / "out")
    assert result.returncode == 8
    shutil.rmtree(bundle)
    assert edgekit_forked("package", bundle, *SOURCES, "-o", tmp_path / "out").returncode == 8
