"""Two runtimes in one run: one table, one verdict, and what happens when one of them is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.commands import document, edgekit_forked
from support.requirements import needs
from support.schemas import validator
from support.shortened import as_offered
from support.small_models import calibration, classifier, labelled

import edgekit
from edgekit.values import to_json

BLOCKED = """
import sys
sys.modules["openvino"] = None  # what an import meets where the extra was not installed
from edgekit.cli.main import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Given:
    model: Path
    calib: Path
    data: Path

    @property
    def words(self) -> tuple[str | Path, ...]:
        return ("deploy", self.model, "--calib", self.calib, "--eval", self.data, "--metric", "accuracy")


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(classifier(tmp_path / "model.onnx"), calibration(tmp_path / "calib.npz"), labelled(tmp_path / "data.npz"))


def test_one_table_and_one_verdict_over_both(tmp_path: Path, given: Given) -> None:
    needs("openvino", "nncf")
    with as_offered():
        found = edgekit.deploy(
            given.model, target="onnx,openvino", calib=given.calib, eval=given.data, metric="accuracy", output=tmp_path / "out"
        )
    report = json.loads(json.dumps(to_json(found), allow_nan=False))
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


def test_auto_takes_every_target_of_the_machine(given: Given) -> None:
    result = edgekit_forked(*given.words, "--target", "auto", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    assert {row["target"] for row in document(result)["candidates"]} >= {"onnx", "openvino"}


def test_a_target_that_is_not_installed_is_one_row_among_others_and_an_error_alone(tmp_path: Path, given: Given) -> None:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", BLOCKED, *map(str, (*given.words, *arguments))]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)

    several = run("--target", "auto", "--precision", "fp32", "-o", tmp_path / "out", "--budget", "1s", "--json")
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
    tmp_path: Path, given: Given, choice: tuple[str, ...]
) -> None:
    """Dynamic int8 of a small convolution is slower than float; asking for that precision, or for the smallest, is no mistake."""
    result = edgekit_forked(*given.words, "--target", "onnx", *choice, "-o", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    report = document(result)
    winner = next(row for row in report["candidates"] if row["id"] == report["winner"]["id"])
    assert winner["scheme"] != "float32"
    assert winner["fidelity"]["metric"] is not None
