"""Two runtimes in one run: one table, one verdict, and what happens when one of them is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.commands import document, edgekit_forked
from support.requirements import missing
from support.schemas import validator
from support.small_models import calibration, classifier, labelled

BLOCKED = """
import sys
sys.modules["openvino"] = None  # what an import meets where the extra was not installed
from edgekit.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def request_of(tmp_path: Path) -> list[str | Path]:
    model, calib, data = (
        classifier(tmp_path / "model.onnx"),
        calibration(tmp_path / "calib.npz"),
        labelled(tmp_path / "data.npz"),
    )
    return ["deploy", model, "--calib", calib, "--eval", data, "--metric", "accuracy"]


def test_one_table_and_one_verdict_over_both(tmp_path: Path, request_of: list[str | Path]) -> None:
    if importlib_missing("openvino") or importlib_missing("nncf"):
        missing("the openvino extra is not installed")
    result = edgekit_forked(*request_of, "--target", "onnx,openvino", "-o", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    report = document(result)
    validator("deploy").validate(report)
    rows = {row["id"]: row for row in report["candidates"]}
    assert report["target"] == "onnx,openvino"
    assert {row["target"] for row in rows.values()} == {"onnx", "openvino"}
    both = [rows["onnx/float32"], rows["openvino/float32"]]
    for row in both:
        assert row["stage"] == "measured"
        assert row["accepted"]
        assert row["speedup_vs_own_float"]["value"] == pytest.approx(1.0)
    assert rows["openvino/float32"]["speedup_vs_reference"]["value"] != 1.0
    assert rows["openvino/int8"]["latency_s"]["n"] > 0
    # What replaces float has to beat the faster float of the two, not its own.
    winner = rows[report["winner"]["id"]]
    assert winner["latency_s"]["p50"] <= 1.25 * min(row["latency_s"]["p50"] for row in both)  # this runs beside other tests


def test_auto_takes_every_target_of_the_machine(tmp_path: Path, request_of: list[str | Path]) -> None:
    result = edgekit_forked(*request_of, "--target", "auto", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    assert {row["target"] for row in document(result)["candidates"]} >= {"onnx", "openvino"}


def test_a_target_that_is_not_installed_is_one_row_among_others_and_an_error_alone(
    tmp_path: Path, request_of: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", BLOCKED, *map(str, (*request_of, *arguments))]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)

    several = run("--target", "auto", "-o", tmp_path / "out", "--budget", "5s", "--json")
    assert several.returncode == 0, several.stderr
    (row,) = (row for row in document(several)["candidates"] if row["target"] == "openvino")
    assert "edgekit-sdk[openvino]" in row["reason"]
    assert not row["accepted"]
    alone = run("--target", "openvino", "-o", tmp_path / "alone")
    assert alone.returncode == 3
    assert "edgekit-sdk[openvino]" in alone.stderr
    assert "Traceback" not in alone.stderr
    assert not (tmp_path / "alone").exists()


@pytest.mark.parametrize(
    "choice", [("--precision", "int8-dynamic", "--max-drop", "5%", "--budget", "0.001s"), ("--objective", "size", "--budget", "1s")]
)
def test_what_was_asked_for_is_evaluated_though_it_is_slow_and_the_budget_is_spent(
    tmp_path: Path, request_of: list[str | Path], choice: tuple[str, ...]
) -> None:
    """Dynamic int8 of a small convolution is slower than float; asking for that precision, or for the smallest, is no mistake."""
    result = edgekit_forked(*request_of, "--target", "onnx", *choice, "-o", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    report = document(result)
    winner = next(row for row in report["candidates"] if row["id"] == report["winner"]["id"])
    assert winner["scheme"] != "float32"
    assert winner["fidelity"]["metric"] is not None


def importlib_missing(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is None
