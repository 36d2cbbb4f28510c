"""Real nets for a Jetson that is not at hand: the bundle is built, its rules hold, a parser takes it, quality holds in simulation.

And the bundle goes to a stand-in Jetson, where ``deploy-on-device.pyz`` gives the verdict: its trtexec replays documented text, so
that verdict is called what it is. digits and a MobileNetV2 from PyTorch run always; `scripts/bench jetson` has the larger ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from edgekit_tensorrt import parser_evidence
from support.requirements import missing, needs
from support.schemas import validator
from support.shortened import as_offered
from support.stand_in_jetson import RELEASES, StandIn
from support.tasks import task

import edgekit
from edgekit.bundle import check_bundle
from edgekit.devices.plan import BenchPlan
from edgekit.manifest import Bundle
from edgekit.on_device import packing

pytestmark = pytest.mark.real_model
SCHEMES = ("int8", "float16", "int8+fp16")
SAMPLES = 60
ROUNDS = 4  # on the board, where a stand-in starts a program for every burst


def build(name: str, folder: Path) -> Path:
    """The task's bundle, in a home of its own."""
    with pytest.MonkeyPatch.context() as patch, as_offered():
        patch.setenv("EDGEKIT_HOME", str(folder / "home"))
        patch.setattr(packing, "BenchPlan", lambda: BenchPlan(rounds=ROUNDS))
        module = task(name)
        feeds = list(module.calibration())[:SAMPLES]
        shape = [f"{key}={'x'.join(map(str, sizes))}" for key, sizes in getattr(module, "SHAPE", {}).items()] or None
        edgekit.build(module.model(), target="jetson", output=folder / "bundle", calib=feeds, eval=module.evaluate, shape=shape)
    return folder / "bundle"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("digits", tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def mobilenetv2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("torch", "onnxscript")
    return build("mobilenetv2", tmp_path_factory.mktemp("mobilenetv2"))


def files_of(bundle: Bundle, folder: Path) -> dict[str, tuple[Path, Any]]:
    """{scheme: (the file of its closest candidate, its provenance)} of what may win."""
    closest: dict[str, tuple[Path, Any]] = {}
    rows = {row.id: row for row in bundle.report.candidates}
    best: dict[str, float] = {}
    for each in bundle.carried:
        fidelity = rows[each.candidate.id].fidelity
        db = (fidelity.sqnr_db if fidelity else None) or 0.0
        scheme = each.candidate.scheme.slug
        if db >= best.get(scheme, float("-inf")):
            best[scheme] = db
            closest[scheme] = folder / each.files[each.artifact.entry], each.artifact.provenance
    return closest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "mobilenetv2"])
def test_each_precision_holds_the_gates_and_the_rules_and_a_parser_builds_it(name: str, request: pytest.FixtureRequest) -> None:
    built: Path = request.getfixturevalue(name)
    bundle = check_bundle(built).bundle
    found = files_of(bundle, built)
    assert {"float32", *SCHEMES} <= set(found), {row.id: row.reason for row in bundle.report.candidates}
    for row in bundle.report.candidates:
        if row.accepted:
            assert row.agreement is not None
            assert row.agreement.value >= 0.95
            assert row.latency_s is None
            assert row.latency_reason
    assert bundle.winner is not None
    assert bundle.winner.provisional
    for scheme in SCHEMES:
        _, facts = found[scheme]
        assert facts["rules"]["errors"] == 0
    if parser_evidence.version() is None:
        missing("tensorrt-rtx is not installed: pip install -e '.[rtx]'")
    evidence = {scheme: found[scheme][1]["parser_evidence"] for scheme in SCHEMES}
    assert {scheme: (said["accepted"], said["built_for"]) for scheme, said in evidence.items()} == dict.fromkeys(
        SCHEMES, (True, "sm_86")
    ), evidence


@pytest.mark.slow  # trtexec's stand-in is started for every burst
def test_the_verdict_is_given_on_the_board_and_a_stand_in_is_called_one(digits: Path, tmp_path: Path) -> None:
    bundle = check_bundle(digits).bundle
    jetson = StandIn(tmp_path / "jetson", RELEASES["6.2"])
    environment = {
        **{name: os.environ[name] for name in ("PATH", "EDGEKIT_LEASE_DIR", "EDGEKIT_GUEST_HOME")}, **jetson.environment,
    }  # fmt: skip
    command = [sys.executable, str(digits / "deploy-on-device.pyz"), "--json", "-o", str(tmp_path / "verdict.json")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    validator("on-device").validate(verdict)
    rows = {row["id"]: row for row in verdict["candidates"]}
    assert rows.keys() == {each.candidate.id for each in bundle.carried}
    assert all(row["loop"] == "trtexec 10.3" for row in rows.values() if row["accepted"])
    assert rows["tensorrt/float32"]["accepted"]
    assert any(row["accepted"] and row["scheme"] == "int8" for row in rows.values())
    assert verdict["device"]["kind"] == "stand-in"
    assert verdict["winner"]["provisional"]
    assert "building" in done.stderr


def test_a_board_that_cannot_build_says_why(digits: Path, tmp_path: Path) -> None:
    jetson = StandIn(tmp_path / "jetson", RELEASES["6.2"], behaviour={"out_of_memory": True})
    environment = {
        **{name: os.environ[name] for name in ("PATH", "EDGEKIT_LEASE_DIR", "EDGEKIT_GUEST_HOME")}, **jetson.environment,
    }  # fmt: skip
    command = [sys.executable, str(digits / "deploy-on-device.pyz"), "--json"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    problem = json.loads(done.stdout)
    validator("error").validate(problem)
    assert (done.returncode, problem["exit_code"]) == (7, 7)
    assert "memory" in problem["why"]
