"""What a bundle holds, that its example runs without edgekit, and that nothing of this machine is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.bundles import onnx_artifact, small_bundle
from support.reports import FLOAT, full_report, measurement, request
from support.schemas import validator

from edgekit import bundle as bundle_module
from edgekit.bundle import MANIFEST, check_bundle, check_calibration, read_bundle, read_measurements, write_bundle
from edgekit.bundle_example import is_close
from edgekit.errors import IntegrityError, OutputError
from edgekit.types import Artifact, DeployReport, Runner, TensorMap, TensorSpec, sha256_file
from edgekit.values import sha256_json


def run_example(bundle: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-X", "importtime", "run_example.py"]
    return subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=False, timeout=60)


# ---------------------------------------------------------------- what is in it
def test_every_file_is_listed_and_the_bundle_is_whole(whole_bundle: Path) -> None:
    result = check_bundle(whole_bundle)
    files = {p.relative_to(whole_bundle).as_posix() for p in whole_bundle.rglob("*") if p.is_file()}
    assert files == {
        MANIFEST, "README.md", "run_example.py", "artifact/model.onnx", "runner/device.py", "golden/inputs.npz",
        "golden/outputs.npz", "evidence/measurements.json",
    }  # fmt: skip
    assert set(result.bundle.files) == files - {MANIFEST}
    assert result.n_files == len(files)
    assert result.size_bytes == sum(p.stat().st_size for p in whole_bundle.rglob("*") if p.is_file())
    assert result.message == "integrity ok, origin unknown"
    assert len((whole_bundle / "README.md").read_text().splitlines()) == 5


def test_the_drawing_and_the_steps_of_the_search_are_evidence(tmp_path: Path) -> None:
    steps = ({"step": 1, "what": "built", "candidate": FLOAT.id, "outcome": f"read from {Path.cwd()}/data"},)
    report = replace(full_report(), trail=steps)
    out = small_bundle(tmp_path / "out", tmp_path / "work", report=report, drawing="<svg>µ</svg>")
    assert {"evidence/trail.svg", "evidence/trail.json"} < set(check_bundle(out).bundle.files)
    assert (out / "evidence" / "trail.svg").read_text(encoding="utf-8") == "<svg>µ</svg>"
    written = json.loads((out / "evidence" / "trail.json").read_text())
    assert written["schema"] == "edgekit.trail/1"
    assert written["steps"][0]["candidate"] == FLOAT.id
    assert str(Path.cwd()) not in json.dumps(written)


def test_the_manifest_keeps_request_provenance_and_evidence(whole_bundle: Path) -> None:
    read = read_bundle(whole_bundle)
    assert read.request() == request()
    assert read.candidate == FLOAT
    assert [step.step for step in read.provenance] == ["read", "calibrate", "build", "judge", "measure"]
    assert read.effective["runtime"] == measurement().effective
    assert read.effective["options"]["threads"] == 1
    assert read.calibration == full_report().calibration
    assert read.report == replace(full_report(), bundle=".")
    assert read_measurements(whole_bundle) == {FLOAT.id: measurement()}
    evidence = json.loads((whole_bundle / "evidence" / "measurements.json").read_text())
    assert evidence["failures"]["onnx/int8"]["kind"] == "crash"


def test_the_same_content_gives_the_same_bytes(whole_bundle: Path, tmp_path: Path) -> None:
    again = small_bundle(tmp_path / "again", tmp_path / "work")
    for name in (MANIFEST, *read_bundle(whole_bundle).files):
        assert (again / name).read_bytes() == (whole_bundle / name).read_bytes(), name


def test_without_a_winner_the_bundle_is_evidence(tmp_path: Path) -> None:
    none = {"artifact": None, "artifact_folder": None, "runner": None, "golden_inputs": None, "golden_outputs": None}
    out = small_bundle(tmp_path / "out", tmp_path / "work", report=full_report(winner=None), **none)
    read = read_bundle(out)
    assert read.winner is None
    assert read.artifact is None
    assert not (out / "run_example.py").exists()
    assert "no candidate was accepted" in (out / "README.md").read_text()


def test_a_file_whose_name_is_not_utf_8_is_no_reason_to_lose_the_run(tmp_path: Path) -> None:
    report = full_report(asked=request(model="odd\udcff.onnx", calib="photos\udcff"))
    named = replace(report, model={**report.model, "path": "odd\udcff.onnx", "name": "odd\udcff.onnx"})
    bundle = check_bundle(small_bundle(tmp_path / "out", tmp_path / "work", report=named)).bundle
    assert bundle.request().calib == "photos\ufffd"
    assert bundle.report.model["name"] == "odd\ufffd.onnx"


def test_nothing_of_this_machine_goes_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, project = tmp_path / "home" / "jane", tmp_path / "home" / "jane" / "project"
    secret = tmp_path / "customers" / "acme"
    for folder in (project, secret):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(project)
    (secret / "net.onnx").write_bytes(b"x")
    asked = request(
        model=str(secret / "net.onnx"), calib=str(project / "data" / "photos"), eval=f"{home}/eval.py:score", baseline="../b.onnx"
    )
    report = full_report(asked=asked)
    report = replace(
        report,
        warnings=(f"external data of {secret}/net.onnx is large", f"in {project}: nothing", f"log: {home}/x.log"),
        model={"path": str(secret / "net.onnx"), "outputs": ["/model/layer/Conv_output_0"]},
    )
    out = small_bundle(project / "out", tmp_path / "work", report=report)
    text = "".join(p.read_text(errors="replace") for p in out.rglob("*") if p.is_file())
    for private in ("jane", "acme", "customers", str(tmp_path)):
        assert private not in text
    read = read_bundle(out)
    assert read.request().model == "net.onnx"
    assert read.request().calib == "data/photos"
    assert read.request().eval == "eval.py:score"
    assert read.request().baseline == "b.onnx"
    assert read.report.warnings[0] == "external data of net.onnx is large"
    assert read.report.warnings[2] == "log: ~/x.log"
    assert read.report.model == {"path": "net.onnx", "outputs": ["/model/layer/Conv_output_0"]}


# ---------------------------------------------------------------- the example
def test_the_example_runs_without_edgekit_and_leaves_the_bundle_whole(bundle: Path) -> None:
    done = run_example(bundle)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "logits: float32 [1, 4], agrees with the golden output"
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if line.startswith("import time:")
    }
    assert "numpy" in imported
    assert "onnxruntime" in imported
    assert not {"edgekit", "edgekit_onnx", "onnx"} & imported
    check_bundle(bundle)


def test_the_example_notices_a_wrong_output(tmp_path: Path) -> None:
    out = small_bundle(tmp_path / "out", tmp_path / "work", golden_outputs={"logits": np.zeros((1, 4), np.float32)})
    done = run_example(out)
    assert done.returncode == 1
    assert "DIFFERS FROM" in done.stdout


@pytest.mark.parametrize(
    ("given", "agrees"),
    [
        ([1, -np.inf, np.nan, 2], True), ([1, -np.inf, np.nan, 2.001], True), ([1, -np.inf, np.nan, 2.1], False),
        ([1, np.inf, np.nan, 2], False), ([1, 0, np.nan, 2], False), ([1, -np.inf, 0, 2], False),
        ([np.nan, -np.inf, np.nan, 2], False),
    ],
)  # fmt: skip
def test_the_example_compares_what_is_not_finite(given: list[float], agrees: bool) -> None:
    """A mask of -inf is neither a difference nor the scale of all others."""
    want = np.array([1, -np.inf, np.nan, 2], np.float32)
    assert is_close(np.array(given, np.float32), want, 1e-3) is agrees


def test_the_example_speaks_the_models_layout(tmp_path: Path) -> None:
    """An artifact with NHWC, quantized tensors of other names still takes and gives the original ones."""
    device = tmp_path / "device.py"
    device.write_text(
        "import numpy as np\n"
        "class Session:\n"
        "    def __init__(self, files, options):\n"
        "        self.step = np.float32(open(files['step']).read())\n"
        "    def run(self, feeds):\n"
        "        x = feeds['nhwc']\n"
        "        assert x.dtype == np.int8 and x.shape == (1, 2, 3, 4), (x.dtype, x.shape)\n"
        "        return {'out': (x.astype(np.int32) - 3 + 7).astype(np.uint8)}\n"
        "    def close(self):\n"
        "        pass\n"
    )
    (tmp_path / "step").write_text("0.5")
    original, stored = TensorSpec("x", "float32", (1, 4, 2, 3)), TensorSpec("nhwc", "int8", (1, 2, 3, 4))
    result, kept = TensorSpec("y", "float32", (1, 4, 2, 3)), TensorSpec("out", "uint8", (1, 2, 3, 4))
    artifact = Artifact(
        {"step": sha256_file(tmp_path / "step")},
        "step",
        (TensorMap("input", original, stored, (0, 2, 3, 1), 0.5, 3), TensorMap("output", result, kept, (0, 2, 3, 1), 0.5, 7)),
    )
    x = np.arange(24, dtype=np.float32).reshape(1, 4, 2, 3) / 2
    out = write_bundle(
        tmp_path / "out",
        report=full_report(),
        artifact=artifact,
        artifact_folder=tmp_path,
        runner=Runner((device,), "device", (), ("step",), {}, 1e-6),
        golden_inputs={"x": x},
        golden_outputs={"y": x},
    )
    done = run_example(out)
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- the calibration manifest
def calibrated(n_fit: int) -> DeployReport:
    """A report whose calibration manifest has a hash for each feed, as a real one has."""
    hashes = [f"{i:064x}" for i in range(n_fit + 8)]
    lists = {"fit": hashes[:n_fit], "held_out": hashes[n_fit:]}
    return replace(full_report(), calibration={"kind": "npz", "n_fit": n_fit, "n_held_out": 8, "samples": None, **lists})


def test_the_hashes_of_the_feeds_stand_in_the_manifest_once(tmp_path: Path) -> None:
    report = calibrated(32)
    assert report.calibration is not None
    out = small_bundle(tmp_path / "out", tmp_path / "work", report=report)
    text = (out / MANIFEST).read_text()
    assert all(text.count(value) == 1 for name in ("fit", "held_out") for value in report.calibration[name])
    read = read_bundle(out)
    assert read.calibration == report.calibration
    short = {"kind": "npz", "n_fit": 32, "n_held_out": 8, "samples": None}
    digests = {f"{name}_sha256": sha256_json(report.calibration[name]) for name in ("fit", "held_out")}
    assert read.report.calibration == {**short, **digests}
    assert next(step for step in read.provenance if step.step == "calibrate").effective == {**short, **digests}
    assert read.report == replace(report, bundle=".", calibration={**short, **digests})
    validator("deploy").validate(json.loads(text)["report"])


def test_too_many_feeds_are_refused_before_slow_work_and_the_most_that_fit_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "MAX_JSON_BYTES", bundle_module._RESERVED_BYTES + 100_000)
    with pytest.raises(OutputError, match=r"hashes of 2008 calibration feeds do not fit") as error:
        check_calibration(calibrated(2000).calibration)
    fit = int(error.value.hint.split(": ")[1].split()[0])
    small_bundle(tmp_path / "out", tmp_path / "work", report=calibrated(fit - 8 - 10))
    with pytest.raises(OutputError, match="do not fit"):
        small_bundle(tmp_path / "other", tmp_path / "work", report=calibrated(fit + 10))
    assert not (tmp_path / "other").exists()
    check_calibration(None)


def test_unsafe_artifact_names_never_reach_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "work").mkdir()
    artifact, _ = onnx_artifact(tmp_path / "work")
    for name in ("../secret", str(tmp_path / "secret"), "missing"):
        with pytest.raises(IntegrityError, match="artifact file"):
            small_bundle(tmp_path / "out", tmp_path / "work", artifact=replace(artifact, files={name: "0" * 64}))
    assert not (tmp_path / "out").exists()
