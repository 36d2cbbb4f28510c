"""Energy from a run's request to its documents, with a stand-in for RAPL in place of a meter that this machine may not have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.meters import IDLE_W, driven_counters
from support.schemas import validator
from support.small_models import classifier

import edgekit
from edgekit.agent.meters import ROOT_VARIABLE
from edgekit.errors import UsageError
from edgekit.measure import energy
from edgekit.metering import STAND_IN
from edgekit.progress import Silent
from edgekit.values import to_json

NET_W = 6.0


class Listening(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGEKIT_LEASE_DIR", str(tmp_path))


@pytest.fixture
def stand_in(own_state: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Counters that count 10 W whatever happens, and windows that are shorter than a real meter's must be."""
    root = tmp_path / "stand-in"
    monkeypatch.setenv(ROOT_VARIABLE, str(root))
    monkeypatch.setattr(energy, "MIN_WINDOW_S", 0.25)
    monkeypatch.setattr(energy, "MIN_SETTLE_S", 0.05)
    with driven_counters(root, lambda: NET_W):
        yield


@pytest.mark.waits
@pytest.mark.usefixtures("stand_in")
def test_a_deploy_for_energy_with_a_stand_in_meter(tmp_path: Path) -> None:
    heard = Listening()
    report = edgekit.deploy(
        classifier(tmp_path / "net.onnx"), target="null", min_agreement=0.5, objective="energy",
        grid_intensity=400, embodied="250kg/4y", output=tmp_path / "out", progress=heard,
    )  # fmt: skip
    validator("deploy").validate(json.loads(json.dumps(to_json(report), allow_nan=False)))
    (planned,) = [note for note in heard.notes if note.startswith("energy of ")]
    assert "takes about" in planned
    measured = [row for row in report.candidates if row.accepted and row.latency_s is not None]
    assert [row.id for row in measured] == ["null/float32", "null/int8-dynamic"]
    for row in measured:
        assert row.energy_j is not None, row.energy_reason
        assert row.energy_j["gross_j"] == pytest.approx((IDLE_W + NET_W) * row.energy_j["inference_s"], rel=0.25)
        assert (row.energy_j["meter"]["source"], row.energy_j["scope"]) == ("stand-in", "processor packages")
        assert row.energy_j["sci"]["e_kwh"] == pytest.approx(row.energy_j["gross_j"] / 3.6e6)
        assert row.energy_j["windows"]["repeats"] == len(row.energy_j["windows"]["gross_j"]) == 5
    refused = [row for row in report.candidates if row not in measured]
    assert all(row.energy_j is None and row.energy_reason for row in refused)
    assert report.winner is not None
    assert (report.winner.id, report.winner.provisional) == ("null/int8-dynamic", True)
    assert "x the inferences a joule (95 % interval" in report.reason
    assert STAND_IN in report.warnings
    assert report.request["embodied"]["total_g"] == 250_000
    again = edgekit.read_bundle(tmp_path / "out").report.row(report.winner.id)
    assert again.energy_j == report.row(report.winner.id).energy_j


@pytest.mark.waits
@pytest.mark.usefixtures("stand_in")
def test_a_profile_with_a_stand_in_meter(tmp_path: Path) -> None:
    report = edgekit.profile(classifier(tmp_path / "net.onnx"), target="onnx")
    (row,) = report.rows
    assert row.energy_j is not None, row.energy_reason
    assert row.energy_j["net_j"] is None or row.energy_j["net_j"] < 0.2 * row.energy_j["gross_j"], "it counts the same when idle"
    assert row.energy_j["sci"] is None
    assert STAND_IN in report.warnings
    validator("profile").validate(json.loads(json.dumps(to_json(report), allow_nan=False)))


@pytest.mark.usefixtures("own_state")
def test_without_a_meter_every_row_says_so_and_energy_is_no_objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "empty"))
    model = classifier(tmp_path / "net.onnx")
    with pytest.raises(UsageError, match="energy cannot be the objective here: no energy meter was found") as caught:
        edgekit.deploy(model, target="onnx", objective="energy")
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="energy cannot be the objective here: build only"):
        edgekit.build(model, target="onnx", objective="energy", output=tmp_path / "out")
    (row,) = edgekit.profile(model, target="onnx", energy="off").rows
    assert (row.energy_j, row.energy_reason) == (None, "it was not asked for (--energy off)")
    (row,) = edgekit.profile(model, target="onnx").rows
    assert (row.energy_j, row.energy_reason) == (None, "no energy meter was found")
