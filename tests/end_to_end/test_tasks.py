"""Real models on real tasks, scored on a third set that edgekit was never given."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.commands import document, edgekit
from support.paired import assert_holds
from support.requirements import ROOT, missing
from support.running import artifact_of, onnx_predictor

TASKS = ROOT / "tests" / "tasks"


def task(name: str) -> ModuleType:
    """One of ``tests/tasks``; without its model the test is skipped (required in CI)."""
    spec = importlib.util.spec_from_file_location(f"task_{name}", TASKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    import sys

    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(TASKS))
    try:
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        if not module.model().exists():
            missing(f"the model of {name} is not here: run scripts/fetch_models")
    except ImportError as problem:
        missing(str(problem))
    finally:
        sys.path.remove(str(TASKS))
    return module


def deploy(module: ModuleType, name: str, out: Path, *extra: str) -> tuple[dict[str, Any], float]:
    """Deploys as a user would, and returns the document and the time it took."""
    started = time.monotonic()
    result = edgekit(
        "deploy", module.model(), "--target", "onnx", "--calib", f"{TASKS / name}.py:calibration",
        "--eval", f"{TASKS / name}.py:evaluate", "-o", out, "--json", *extra, timeout_s=600,
    )  # fmt: skip
    wall_s = time.monotonic() - started
    assert result.returncode == 0, result.stderr
    parsed = document(result)
    assert (out / "edgekit.json").exists()
    return parsed, wall_s


def third_set_holds(module: ModuleType, original: Path, out: Path) -> str:
    return assert_holds(module.third(onnx_predictor(original)), module.third(onnx_predictor(artifact_of(out))))


def row(report: dict[str, Any], candidate_id: str) -> dict[str, Any]:
    return next(r for r in report["candidates"] if r["id"] == candidate_id)


@pytest.mark.real_model
@pytest.mark.slow
def test_the_recogniser(tmp_path: Path) -> None:
    recogniser = task("recogniser")
    out = tmp_path / "out"
    report, wall_s = deploy(recogniser, "recogniser", out, "--shape", "x=1x3x48x320")
    print(third_set_holds(recogniser, recogniser.model(), out))
    assert wall_s < 180
    dynamic = [r for r in report["candidates"] if r["scheme"] == "int8-dynamic"]
    naive = [r for r in dynamic if (r["fidelity"] or {}).get("metric") is not None]
    collapsed = [r for r in naive if r["fidelity"]["metric"] < 0.2]
    assert collapsed, [(r["id"], r["fidelity"] and r["fidelity"]["metric"]) for r in naive]
    for r in collapsed:
        assert not r["accepted"]
        assert "falls by" in r["reason"]
    shown = edgekit(
        "deploy", recogniser.model(), "--target", "onnx", "--calib", f"{TASKS}/recogniser.py:calibration",
        "--eval", f"{TASKS}/recogniser.py:evaluate", "--shape", "x=1x3x48x320",
        "--precision", "int8-dynamic", "-o", tmp_path / "naive",
        timeout_s=600,
    )  # fmt: skip
    flat = " ".join(shown.stderr.split())
    assert collapsed[0]["id"].split("~")[0] in flat
    assert "falls by" in flat


@pytest.mark.real_model
@pytest.mark.slow
def test_minilm(tmp_path: Path) -> None:
    minilm = task("minilm")
    out = tmp_path / "out"
    report, _ = deploy(minilm, "minilm", out)
    print(third_set_holds(minilm, minilm.model(), out))
    winner = row(report, report["winner"]["id"])
    assert winner["speedup_vs_reference"]["value"] >= 1.8, json.dumps(winner["speedup_vs_reference"])
    assert not report["winner"]["provisional"]


@pytest.mark.real_model
@pytest.mark.slow
def test_the_digits_net(tmp_path: Path) -> None:
    digits = task("digits")
    out = tmp_path / "out"
    _, wall_s = deploy(digits, "digits", out)
    print(third_set_holds(digits, digits.model(), out))
    assert wall_s < 30


@pytest.mark.real_model
@pytest.mark.slow
def test_a_slice_that_int8_breaks_is_refused_by_name(tmp_path: Path) -> None:
    slices = task("slices")
    report, _ = deploy(slices, "slices", tmp_path / "with", "--precision", "auto")
    static = [r for r in report["candidates"] if r["scheme"] == "int8"]
    refused = [r for r in static if not r["accepted"] and f"slice '{slices.BROKEN_SLICE}'" in r["reason"]]
    assert refused, [(r["id"], r["reason"]) for r in static]
    started = edgekit(
        "deploy", slices.model(), "--target", "onnx", "--calib", f"{TASKS}/slices.py:calibration",
        "--eval", f"{TASKS}/slices.py:evaluate_without_broken_slice", "-o", tmp_path / "without", "--json", timeout_s=600,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
    without = document(started)
    accepted = row(without, refused[0]["id"])
    assert accepted["accepted"], accepted["reason"]
