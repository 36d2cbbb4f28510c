"""``edgekit check MODEL --target``, and what the core does with a target whose device is not at hand."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner
from support.tensorrt_models import CASES

from edgekit.checking import check_model
from edgekit.cli.check import check
from edgekit.errors import ModelError, UnknownNameError, UsageError
from edgekit.profiles import closest_profile
from edgekit.types import DeviceFacts


def written(folder: Path, name: str) -> Path:
    path = folder / "model.onnx"
    onnx.save(CASES[name].build(), path)
    return path


@pytest.mark.parametrize(("name", "code"), [("conv", 0), ("random", 0), ("zero point 3", 4), ("wrong axis, Conv", 4)])
def test_errors_exit_4_and_warnings_do_not(tmp_path: Path, name: str, code: int) -> None:
    path = written(tmp_path, name)
    plain = CliRunner().invoke(check, [str(path), "--target", "jetson"])
    document = CliRunner().invoke(check, [str(path), "--target", "jetson", "--json"])
    assert (plain.exit_code, document.exit_code) == (code, code)
    found = json.loads(document.output)
    assert found["schema"] == "edgekit.check-model/1"
    assert found["accepted"] == (code == 0)
    assert (found["target"], found["profile"]) == ("tensorrt", "jetson-orin-nano")
    assert {each["rule"] for each in found["findings"]} == ({CASES[name].rule} if CASES[name].rule else set())
    for each in found["findings"]:
        assert each["node"] in plain.output
        assert each["fix"] in plain.output


def test_the_board_matters(tmp_path: Path) -> None:
    path = written(tmp_path, "conv")
    assert {each.rule for each in check_model(path, "jetson-nano").errors} == {"int8-hardware", "opset"}
    assert not check_model(path, "thor").errors


def test_what_cannot_be_checked_is_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, "conv")
    with pytest.raises(UsageError, match="no rules"):
        check_model(path, "onnx")
    with pytest.raises(UnknownNameError):
        check_model(path, "jetsom")
    with pytest.raises(ModelError, match="no file"):
        check_model(tmp_path / "other.onnx", "jetson")
    with pytest.raises(UsageError, match="not an"):
        check_model(tmp_path, "jetson")
    path.write_bytes(b"no model")
    with pytest.raises(ModelError):
        check_model(path, "jetson")


def test_a_pc_with_a_gpu_is_generic_cuda() -> None:
    facts = DeviceFacts(
        kind="real", system="Linux", machine="x86_64", python="3.11", cpu_model="", cpu_features=(), cores=8, memory_bytes=None,
        memory_available_bytes=None, runtimes={"cuda-compute-capability": "8.9"},
    )  # fmt: skip
    profile = closest_profile(facts)
    assert profile is not None
    assert profile.name == "generic-cuda"


def test_without_a_device_quality_is_a_simulation_and_evidence_is_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit_tensorrt import parser_evidence

    from edgekit.api import build

    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(parser_evidence, "version", lambda: None)
    path = written(tmp_path, "half, inside")
    report = build(path, target=("jetson",), output=tmp_path / "bundle")
    rows = [row for row in report.candidates if row.target == "tensorrt" and row.accepted]
    assert rows
    assert {row.quality_measured_on for row in rows} == {"simulation"}
    assert all("not installed" in row.provenance["parser_evidence"]["summary"] for row in rows)
