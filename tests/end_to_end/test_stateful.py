"""A model with a state, branches and a setting among its inputs: speech activity, chunk by chunk, on two runtimes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.requirements import needs
from support.shortened import as_offered
from support.tasks import task

import edgekit
from edgekit.types import CandidateReport, DeployReport

pytestmark = [pytest.mark.real_model, pytest.mark.slow]


def deploy(file: str, out: Path) -> DeployReport:
    needs("openvino", "nncf")
    silero = task("silero")
    with as_offered():
        return edgekit.deploy(
            silero.variant(file), target="onnx,openvino", calib=silero.calibration, eval=silero.evaluate, output=out
        )  # fmt: skip


def metric(row: CandidateReport) -> float:
    assert row.fidelity is not None
    assert row.fidelity.metric is not None
    return row.fidelity.metric


def test_whole_sequences_are_scored(tmp_path: Path) -> None:
    """Each candidate goes on from the state that it returned itself, so that errors add up over a hundred steps as in use."""
    silero = task("silero")
    report = deploy("silero_vad_16k_op15.onnx", tmp_path / "out")
    assert report.row("onnx/float32").accepted
    scored = [row.fidelity for row in report.candidates if row.fidelity is not None and row.fidelity.metric is not None]
    assert len(scored) >= 2
    n_chunks = sum(len(clip.chunks) for clip in silero.clips(silero.N_CALIBRATION, silero.N_EVALUATION))
    assert {fidelity.n for fidelity in scored} == {n_chunks}
    assert not [row.reason for row in report.candidates if "other content" in row.reason], (
        "a state that is fed back is no other sample"
    )
    openvino = [row for row in report.candidates if row.target == "openvino"]
    assert openvino
    assert all(row.stage == "rejected" and row.reason for row in openvino), "refused with the reason, or it would be measured"


def test_a_graph_without_branches_runs_on_both(tmp_path: Path) -> None:
    report = deploy("silero_vad_op18_ifless.onnx", tmp_path / "out")
    floats = [report.row("onnx/float32"), report.row("openvino/float32")]
    assert all(row.accepted for row in floats)
    assert metric(floats[1]) == pytest.approx(metric(floats[0]), abs=1e-3)
