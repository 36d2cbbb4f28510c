"""Several boards at once on the command line, what is installed on them, and measuring a bundle there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import invoke
from support.remote import GoneTransport, board, known
from support.schemas import validator
from support.small_models import calibration, classifier

from edgekit.devices.inventory import Device


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known(monkeypatch, board(tmp_path, "a"), board(tmp_path, "b"), Device("gone", "ssh://gone", GoneTransport()))


def test_two_boards_and_one_that_is_off(tmp_path: Path, boards: None) -> None:
    model, calib = classifier(tmp_path / "model.onnx"), calibration(tmp_path / "calib.npz", n=80)
    options = ("deploy", model, "--target", "null", "--calib", calib, "--precision", "fp32", "--budget", "1s", "-o", "out")
    result = invoke(*options, "--device", "a,gone,b", "--install", "models/digits", "--json")
    assert result.exit_code == 6, result.output
    document = json.loads(result.stdout)
    validator("fleet").validate(document)
    one, gone, other = document["runs"]
    assert gone["schema"] == "edgekit.error/1"
    assert (gone["device"], gone["exit_code"], gone["hint"]) == ("gone", 6, "switch it on")
    for name, found in (("a", one), ("b", other)):
        assert found["device"]["name"] == name
        assert Path(found["bundle"]) == Path("out", name)
        installed = tmp_path / name / "home/models/digits/current"
        assert (installed / "edgekit.json").read_bytes() == Path("out", name, "edgekit.json").read_bytes()
    assert one["candidates"][0]["latency_s"] is not None
    assert "a: " in result.stderr
    assert "switch it on" not in result.stderr, "the document says it"

    _profiles_a_bundle_on_both()
    _goes_back_on_a_board(tmp_path)


def _profiles_a_bundle_on_both() -> None:
    result = invoke("profile", "out/a", "--device", "a,b")
    assert result.exit_code == 0, result.output
    for name in ("a", "b"):
        assert f"{name} " in result.stderr
    assert "null/float32" in result.stderr


def _goes_back_on_a_board(tmp_path: Path) -> None:
    refused = invoke("devices", "rollback", "a", "models/digits")
    assert refused.exit_code != 0
    assert "no version before" in str(refused.exception)
    from edgekit.devices import inventory
    from edgekit.installation import install_on_device

    device: Any = inventory.open_device("a")
    assert install_on_device("out/b", device, "models/digits").changed
    current = tmp_path / "a/home/models/digits/current/edgekit.json"
    assert current.read_bytes() == Path("out/b/edgekit.json").read_bytes()
    result = invoke("devices", "rollback", "a", "~/models/digits", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["device"] == "a"
    assert current.read_bytes() == Path("out/a/edgekit.json").read_bytes()


def test_a_path_that_leads_outside_is_refused_before_anything_is_built(tmp_path: Path, boards: None) -> None:
    result = invoke(
        "deploy", classifier(tmp_path / "model.onnx"), "--target", "null", "--device", "a", "--install", "../up", "-o", "out"
    )
    assert getattr(result.exception, "exit_code", None) == 2
    assert not Path("out").exists()
