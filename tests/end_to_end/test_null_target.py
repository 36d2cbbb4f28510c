"""The whole way of the data in seconds, with no runtime: the null target's candidates agree, disagree, crash and are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import document, edgekit_forked
from support.small_models import calibration, classifier


@pytest.mark.waits  # int8-dynamic wins by its latency, which is a sleep
def test_every_kind_of_result_reaches_the_verdict(tmp_path: Path) -> None:
    model, calib = classifier(tmp_path / "model.onnx"), calibration(tmp_path / "calib.npz")
    result = edgekit_forked("deploy", model, "--target", "null", "--calib", calib, "-o", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    report = document(result)
    rows = {row["scheme"]: row for row in report["candidates"]}
    assert report["winner"]["id"] == "null/int8-dynamic"
    assert rows["float32"]["stage"] == "measured"
    assert rows["int8-dynamic"]["speedup_vs_own_float"]["ci95"][0] > 1.03
    assert not rows["int8"]["accepted"]
    assert "agreement with float" in rows["int8"]["reason"]
    assert rows["w8"]["stage"] == "built"
    assert "crash" in rows["w8"]["reason"]
    assert rows["float16"]["stage"] == "rejected"
