"""Deploying to a board over a transport that sends files: judged here, measured there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.remote import board, known
from support.schemas import validator
from support.small_models import calibration, classifier, labelled

import edgekit
from edgekit.testing import null_target
from edgekit.types import DeployReport, Runner
from edgekit.values import to_json

SKEWED = """
import os
from null_runner import *
from null_runner import Session as Plain

class Session(Plain):
    def run(self, feeds):
        return {name: value * float(os.environ.get("SKEW", "1")) for name, value in super().run(feeds).items()}
"""


@pytest.fixture
def skewable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The null target's runtime multiplies its outputs by what a machine's ``SKEW`` says."""
    (tmp_path / "skewed.py").write_text(SKEWED)
    plain = null_target.NullTarget.runner

    def runner(self: Any, artifact: Any, site: Any) -> Runner:
        made = plain(self, artifact, site)
        return dataclasses.replace(made, code=(*made.code, tmp_path / "skewed.py"), entry="skewed")

    monkeypatch.setattr(null_target.NullTarget, "runner", runner)


def deployed(tmp_path: Path, **options: Any) -> DeployReport:
    model, calib = classifier(tmp_path / "model.onnx"), calibration(tmp_path / "calib.npz", n=80)
    return edgekit.deploy(model, target="null", device="board", calib=calib, output=tmp_path / "out", **options)


@pytest.mark.waits  # int8-dynamic wins by its latency, which is a sleep
def test_quality_is_judged_here_and_speed_measured_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skewable: None) -> None:
    device = board(tmp_path)
    known(monkeypatch, device)
    report = deployed(tmp_path, eval=labelled(tmp_path / "eval.npz", n=20), metric="accuracy", budget="20s")
    rows = {row.scheme: row for row in report.candidates}
    assert report.winner is not None
    assert report.winner.id == "null/int8-dynamic"
    assert report.device is not None
    assert (report.device["name"], report.device["address"], report.device["kind"]) == ("board", "ssh://board", "real")
    for name in ("float32", "int8-dynamic", "int8"):
        found = rows[name].device_difference
        assert found is not None
        assert (found.value, found.n) == (0.0, 16)
        assert rows[name].latency_s is not None
    assert rows["int8-dynamic"].quality_measured_on == "host"
    assert rows["int8-dynamic"].speedup_vs_reference is not None
    assert "crash" in rows["w8"].reason
    assert not [text for text in report.warnings if "differ" in text]
    validator("deploy").validate(json.loads(json.dumps(to_json(report))))
    assert (tmp_path / "board/guest/blobs").is_dir(), "files were sent"
    assert (tmp_path / "out/edgekit.json").is_file()


def test_a_device_that_says_something_else_is_judged_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skewable: None) -> None:
    known(monkeypatch, board(tmp_path, SKEW="1.5"))
    report = deployed(tmp_path, precision="int8-dynamic", budget="5s")
    row = report.row("null/int8-dynamic")
    assert row.quality_measured_on == "device"
    assert row.device_difference is not None
    assert row.device_difference.value == pytest.approx(0.5)
    assert row.accepted, "its decisions are float's all the same"
    assert row.fidelity is not None
    assert row.fidelity.sqnr_db == pytest.approx(6.02, abs=0.2)
    assert any("null/int8-dynamic: the device's outputs differ from this machine's by 0.5" in text for text in report.warnings)


def test_on_request_everything_is_judged_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skewable: None) -> None:
    known(monkeypatch, board(tmp_path, SKEW="1.5"))
    report = deployed(tmp_path, eval_on="device", precision="fp32", budget="5s")
    row = report.row("null/float32")
    assert row.quality_measured_on == "device"
    assert row.device_difference is None
    assert row.fidelity is not None
    assert row.fidelity.sqnr_db == pytest.approx(6.02, abs=0.01), "the board's outputs beside those of float on this machine"
