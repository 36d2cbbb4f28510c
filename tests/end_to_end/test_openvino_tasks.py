"""Real models with OpenVINO on this processor: fast enough to be worth the extra, and still right on a set that was never given.

magika runs always; the larger ones take minutes each and run with ``--long``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.bundle_running import bundle_predictor
from support.commands import edgekit
from support.paired import assert_holds
from support.requirements import needs
from support.running import onnx_predictor
from support.shortened import as_offered
from support.tasks import TASKS, task

import edgekit as sdk

pytestmark = pytest.mark.real_model


@pytest.fixture(autouse=True)
def _needs_openvino() -> None:
    needs("openvino", "nncf")


def deploy(name: str, out: Path, *extra: str) -> dict[str, Any]:
    """The report; the winner has held its gates on the third set."""
    module = task(name)
    result = edgekit(
        "deploy", module.model(), "--target", "openvino", "--calib", f"{TASKS / name}.py:calibration",
        "--eval", f"{TASKS / name}.py:evaluate", "-o", out, *extra, timeout_s=800,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    print(assert_holds(module.third(onnx_predictor(module.model())), module.third(bundle_predictor(out)), least_n=100))
    report: dict[str, Any] = json.loads((out / "edgekit.json").read_text())["report"]
    winner = winner_of(report)
    print(name, winner["id"], winner["speedup_vs_reference"], winner["agreement"], f"{report['wall_s']:.0f} s")
    return report


def winner_of(report: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in report["candidates"] if row["id"] == report["winner"]["id"])


def require_speed(report: dict[str, Any], wanted: float) -> None:
    """A stated speed-up belongs to processors with AVX-512 VNNI; a tenth is left to the neighbours of a shared machine."""
    features: Sequence[str] = report["device"]["cpu_features"]
    if "avx512_vnni" not in features:
        pytest.skip(f"a speed-up of {wanted} is stated for AVX-512 VNNI, which this processor does not have")
    assert winner_of(report)["speedup_vs_reference"]["ci95"][1] >= 0.9 * wanted, winner_of(report)


@pytest.fixture
def _needs_bfloat16() -> None:
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")


# One precision each, the one that wins here: the whole search over all of them is what `scripts/bench tasks` runs.
@pytest.mark.long
@pytest.mark.alone
@pytest.mark.usefixtures("_needs_bfloat16")
def test_the_recogniser(tmp_path: Path) -> None:
    report = deploy("recogniser", tmp_path / "out", "--shape", "x=1x3x48x320", "--precision", "mixed")
    require_speed(report, 3.2)


@pytest.mark.long
@pytest.mark.alone
def test_minilm(tmp_path: Path) -> None:
    report = deploy("minilm", tmp_path / "out", "--precision", "int8", "--budget", "30s")
    require_speed(report, 2.6)


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.usefixtures("_needs_bfloat16")
def test_the_detector(tmp_path: Path) -> None:
    report = deploy("detector", tmp_path / "out", "--shape", "x=1x3x384x384", "--precision", "bf16")
    agreement = winner_of(report)["agreement"]
    assert agreement["kind"] == "iou"
    assert agreement["value"] >= 0.95
    require_speed(report, 1.85)


@pytest.mark.slow
def test_magika_ships_neither_bfloat16_nor_the_default_int8(tmp_path: Path) -> None:
    magika, out = task("magika"), tmp_path / "out"
    with as_offered():
        report = sdk.deploy(
            magika.model(), target="openvino", samples=60, calib=magika.calibration, eval=magika.evaluate, output=out
        )
    assert report.winner is not None
    named = {row.id: row for row in report.candidates if row.id in ("openvino/bfloat16", "openvino/int8")}
    assert "openvino/int8" in named
    for row in named.values():
        print(row.id, row.stage, row.reason)
        assert not row.accepted, row.fidelity
        assert row.id != report.winner.id
    unseen = magika.files()[magika.N_CALIBRATION + magika.N_EVALUATION :][:200]
    before, after = (magika.score(predict, unseen) for predict in (onnx_predictor(magika.model()), bundle_predictor(out)))
    print(report.winner.id, assert_holds(before, after, least_n=200))
