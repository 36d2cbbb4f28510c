"""A model with a state, branches and a setting among its inputs: speech activity, chunk by chunk, on two runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import edgekit_forked
from support.requirements import needs
from support.tasks import TASKS, task

pytestmark = [pytest.mark.real_model, pytest.mark.slow]


def deploy(file: str, out: Path, *extra: str) -> tuple[dict[str, Any], str]:
    needs("openvino", "nncf")
    model = task("silero").variant(file)
    result = edgekit_forked(
        "deploy", model, "--target", "onnx,openvino", "--calib", f"{TASKS / 'silero'}.py:calibration",
        "--eval", f"{TASKS / 'silero'}.py:evaluate", *extra, "-o", out, timeout_s=600,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads((out / "edgekit.json").read_text())["report"], " ".join(result.stderr.split())


def test_whole_sequences_are_scored_and_drift_is_refused(tmp_path: Path) -> None:
    """The naive uint8 recipe is right step by step and wrong after a hundred steps: only feeding the state back shows it."""
    report, shown = deploy("silero_vad_16k_op15.onnx", tmp_path / "out", "--budget", "12s")
    rows = {row["id"]: row for row in report["candidates"]}
    assert rows["onnx/float32"]["accepted"]
    assert "other content" not in shown, "a state that is fed back is no other sample"
    judged = [row for row in rows.values() if row["stage"] == "measured" and row["scheme"] != "float32"]
    assert judged
    openvino = [row for row in rows.values() if row["target"] == "openvino"]
    assert openvino
    assert all(row["stage"] == "rejected" and row["reason"] for row in openvino), "refused with the reason, or it would be measured"


def test_a_graph_without_branches_runs_on_both(tmp_path: Path) -> None:
    report, _ = deploy("silero_vad_op18_ifless.onnx", tmp_path / "out", "--budget", "5s")
    rows = {row["id"]: row for row in report["candidates"]}
    for float_row in ("onnx/float32", "openvino/float32"):
        assert rows[float_row]["accepted"]
        assert rows[float_row]["fidelity"]["metric"] == pytest.approx(rows["onnx/float32"]["fidelity"]["metric"], abs=1e-3)
