"""`edgekit deploy` on the two models of the demo: the verdict, the bundle, the cache, a repeated run."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import SHOWN, document, edgekit, edgekit_forked, invoke
from support.requirements import ROOT
from support.schemas import validator
from support.shortened import as_offered

import edgekit as sdk
from edgekit.demo import demo_models
from edgekit.types import DeployReport
from edgekit.values import from_json, to_json

WIDE, SMALL = demo_models()


@dataclass(frozen=True)
class Deployed:
    report: dict[str, Any]
    bundle: Path
    home: Path

    def env(self) -> dict[str, str]:
        return {"EDGEKIT_HOME": str(self.home), "EDGEKIT_GUEST_HOME": str(self.home / "guest")}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The wider digits net, deployed once with everything that an engineer would give."""
    folder = tmp_path_factory.mktemp("wide")
    made = Deployed({}, folder / "bundle", folder / "home")
    with pytest.MonkeyPatch.context() as patch, as_offered():
        for name, value in made.env().items():
            patch.setenv(name, value)
        report = sdk.deploy(
            WIDE.model, target="onnx", calib=WIDE.calibration, eval=WIDE.evaluation, metric=WIDE.metric, output=made.bundle
        )
    return replace(made, report=json.loads(json.dumps(to_json(report), allow_nan=False)))


def _row(report: dict[str, Any], candidate_id: str) -> dict[str, Any]:
    return next(row for row in report["candidates"] if row["id"] == candidate_id)


def test_the_document_follows_its_schema_and_reads_back(wide: Deployed) -> None:
    validator("deploy").validate(wide.report)
    report = from_json(DeployReport, wide.report)
    assert report.schema == "edgekit.deploy/1"
    validator("bundle").validate(json.loads((wide.bundle / "edgekit.json").read_text()))


def test_float_is_measured_beside_every_candidate_and_the_winner_is_surely_faster_or_float(wide: Deployed) -> None:
    measured = [row for row in wide.report["candidates"] if row["stage"] == "measured"]
    assert len(measured) >= 4
    for row in measured:
        low, high = row["latency_s"]["ci95"]
        assert 0 < low <= row["latency_s"]["p50"] <= high
        assert row["latency_s"]["p50"] <= row["latency_s"]["p90"] <= row["latency_s"]["p99"]
        assert row["peak_memory_bytes"] > 1_000_000
        assert row["loop"] == "agent/1"
    winner = _row(wide.report, wide.report["winner"]["id"])
    assert winner["accepted"]
    if winner["scheme"] != "float32":
        assert winner["speedup_vs_own_float"]["ci95"][0] > 1.03
    assert not wide.report["winner"]["provisional"]
    assert wide.report["n_compared"] <= 8


def test_what_was_not_measured_is_none_with_its_reason(wide: Deployed) -> None:
    for row in wide.report["candidates"]:
        assert row["energy_j"] is None
        assert row["energy_reason"]
        if row["latency_s"] is None:
            assert row["latency_reason"]


def test_slices_are_reported_with_their_size(wide: Deployed) -> None:
    winner = _row(wide.report, wide.report["winner"]["id"])
    assert set(winner["fidelity"]["slices"]) == {"thin", "bold"}
    assert sum(s["n"] for s in winner["fidelity"]["slices"].values()) == winner["fidelity"]["n"] == 400


def test_the_bundle_is_intact_and_its_example_runs_without_edgekit(wide: Deployed) -> None:
    checked = edgekit_forked("check", wide.bundle)
    assert checked.returncode == 0, checked.stderr
    assert "integrity ok, origin unknown" in checked.stdout + checked.stderr
    blocked = "import sys; sys.modules['edgekit'] = None; import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
    ran = subprocess.run(
        [sys.executable, "-I", "-c", blocked, str(wide.bundle / "run_example.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert ran.returncode == 0, ran.stderr
    assert "agrees with the golden output" in ran.stdout


def test_no_sample_and_no_folder_of_the_user_is_in_the_bundle(wide: Deployed) -> None:
    with np.load(WIDE.calibration) as calibration, np.load(WIDE.evaluation) as evaluation:
        name = next(n for n in calibration.files if n not in ("labels", "slices"))
        samples = [calibration[name][0].tobytes(), calibration[name][7].tobytes(), evaluation[name][3].tobytes()]
    for path in [*wide.bundle.rglob("*"), *(wide.home / "cache").rglob("*"), *(wide.home / "state").rglob("*")]:
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert not any(sample in content for sample in samples), path
            if wide.bundle in path.parents:
                assert str(wide.home.parent).encode() not in content, path
                assert str(ROOT).encode() not in content, path


def test_a_repeated_deploy_reuses_candidates_and_measures_anew(wide: Deployed, tmp_path: Path) -> None:
    again = edgekit_forked(
        "deploy", WIDE.model, "--target", "onnx", "--precision", "int8", "--calib", WIDE.calibration, "--eval", WIDE.evaluation,
        "--metric", "accuracy", "--budget", "0.1s", "-o", tmp_path / "again", "--json", env=wide.env(),
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    report = document(again)
    built = [row for row in report["candidates"] if row["stage"] != "rejected"]
    assert {"float32", "int8"} <= {row["scheme"] for row in built}
    assert all(row["provenance"]["from_cache"] for row in built)
    assert not any(row["provenance"]["from_cache"] for row in wide.report["candidates"] if row["stage"] != "rejected")
    for row in built:
        if row["latency_s"]:
            assert row["latency_s"] != _row(wide.report, row["id"])["latency_s"]


def test_a_run_can_be_repeated_from_its_bundle(wide: Deployed, tmp_path: Path) -> None:
    """The paths in a bundle are relative to nobody's folder, so the data are named anew; everything else is remembered."""
    result = edgekit_forked(
        "deploy", WIDE.model, "--from", wide.bundle, "--calib", WIDE.calibration, "--eval", WIDE.evaluation, "--dry-run", "--json",
        cwd=tmp_path, env=wide.env(),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    repeated = document(result)
    assert repeated["request"]["metric"] == "accuracy"
    assert repeated["request"]["target"] == ["onnx"]
    found = [row["id"] for row in wide.report["candidates"]]
    assert [row["id"] for row in repeated["candidates"]] == found[: len(repeated["candidates"])]  # the search adds others
    assert not any(warning.startswith("--from") for warning in repeated["warnings"])
    assert list(tmp_path.iterdir()) == []
    other = edgekit_forked(
        "deploy", SMALL.model, "--from", wide.bundle, "--calib", WIDE.evaluation, "--eval", WIDE.calibration, "--dry-run", "--json",
        cwd=tmp_path, env=wide.env(),
    )  # fmt: skip
    assert other.returncode == 4, "the calibration archive has no labels to evaluate with"
    with np.load(WIDE.calibration) as data:
        np.savez(tmp_path / "fewer.npz", **{name: data[name][:100] for name in data.files})
    other = edgekit_forked(
        "deploy", SMALL.model, "--from", wide.bundle, "--calib", "fewer.npz", "--eval", WIDE.evaluation, "--dry-run", "--json",
        cwd=tmp_path, env=wide.env(),
    )  # fmt: skip
    warnings = document(other)["warnings"]
    assert "--from: the model is not the bundle's" in warnings
    assert "--from: the calibration data are not the bundle's" in warnings
    assert "--from: the evaluation data are not the bundle's" not in warnings


def test_install_keeps_the_previous_version(wide: Deployed, tmp_path: Path) -> None:
    place = tmp_path / "models"
    first = sdk.install(wide.bundle, place)
    assert (place / "current").is_symlink()
    assert (place / "current" / "edgekit.json").read_bytes() == (wide.bundle / "edgekit.json").read_bytes()
    result = edgekit_forked(
        "deploy", SMALL.model, "--target", "onnx", "--precision", "fp32", "-o", tmp_path / "out", "--install", place, env=wide.env()
    )
    assert result.returncode == 0, result.stderr
    assert json.loads((place / "current" / "edgekit.json").read_text())["report"]["model"]["name"] == SMALL.model.name
    assert first.current.exists()


def test_float_is_kept_for_the_small_net_and_the_reason_is_on_the_terminal(tmp_path: Path) -> None:
    arguments = [
        "deploy", SMALL.model, "--target", "onnx", "--calib", SMALL.calibration, "--eval", SMALL.evaluation, "--metric", "accuracy",
        "-o", tmp_path / "out",
    ]  # fmt: skip
    with as_offered():
        result = invoke(*arguments, env=SHOWN, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    flat = " ".join(result.stderr.split())
    assert "onnx/float32 is kept" in flat
    assert "right, but not faster" in flat


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--max-latency", "1us", "--budget", "0.5s"], "over the limit"),
        (["--precision", "bf16"], "do not gain from this format"),
        (["--precision", "int8"], "needs calibration data"),
    ],
)
def test_an_unmet_budget_is_exit_5_with_the_reason(tmp_path: Path, extra: list[str], said: str, wide: Deployed) -> None:
    result = edgekit_forked("deploy", SMALL.model, "--target", "onnx", *extra, "-o", tmp_path / "out", env=wide.env())
    assert result.returncode == 5, result.stderr
    assert said in " ".join(result.stderr.split())
    assert "dry run" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_build_measures_nothing_and_says_so(tmp_path: Path, wide: Deployed) -> None:
    result = edgekit_forked(
        "build", SMALL.model, "--target", "onnx", "--calib", SMALL.calibration, "--budget", "1s", "-o", tmp_path / "out", "--json",
        env=wide.env(),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = document(result)
    assert report["winner"]["provisional"]
    assert all(row["latency_s"] is None and row["latency_reason"] for row in report["candidates"])


def test_a_profile_that_this_machine_is_not_is_built_only(tmp_path: Path, wide: Deployed) -> None:
    other = "generic-arm64" if platform.machine() == "x86_64" else "generic-x86-64"
    result = edgekit_forked("deploy", SMALL.model, "--target", other, "-o", tmp_path / "out", "--json", env=wide.env())
    assert result.returncode == 0, result.stderr
    report = document(result)
    assert report["device"] is None
    assert report["winner"]["provisional"]
    assert "is not a" in _row(report, report["winner"]["id"])["latency_reason"]
    limited = edgekit_forked("deploy", SMALL.model, "--target", other, "--max-latency", "5ms", "-o", tmp_path / "b", env=wide.env())
    assert limited.returncode == 2
    named = edgekit_forked("deploy", SMALL.model, "--target", other, "--device", "local", "-o", tmp_path / "c", env=wide.env())
    assert named.returncode == 2
    assert other in named.stderr


@pytest.mark.parametrize("what", ["model", "bundle"])
def test_profile_measures_a_model_or_a_bundle_as_it_is(what: str, wide: Deployed) -> None:
    result = edgekit_forked("profile", WIDE.model if what == "model" else wide.bundle, "--target", "onnx", "--json", env=wide.env())
    assert result.returncode == 0, result.stderr
    report = document(result)
    validator("profile").validate(report)
    (row,) = report["rows"]
    assert row["latency_s"]["p50"] > 0
    assert row["load_s"] > 0
    assert row["first_inference_s"] > 0
    assert report["input"] == "synthetic"
    assert row["id"] == ("onnx/float32" if what == "model" else wide.report["winner"]["id"])


@pytest.mark.alone  # which of two candidates is faster
def test_the_demo_shows_one_model_where_a_candidate_wins_and_one_where_float_is_kept(tmp_path: Path) -> None:
    result = edgekit("demo", "-o", tmp_path / "demo", "--json")
    assert result.returncode == 0, result.stderr
    fleet = document(result)
    validator("fleet").validate(fleet)
    winners = [_row(run, run["winner"]["id"])["scheme"] for run in fleet["runs"]]
    assert winners[1] == "float32"
    if "avx512_vnni" in fleet["runs"][0]["device"]["cpu_features"]:  # elsewhere int8 may rightly lose
        assert winners[0] != "float32"


def test_code_from_a_configuration_file_is_shown_and_not_run(tmp_path: Path, wide: Deployed) -> None:
    (tmp_path / "data.py").write_text("import pathlib\npathlib.Path('ran').write_text('')\ndef samples():\n    yield {}\n")
    (tmp_path / "edgekit.toml").write_text('[deploy]\ntarget = "onnx"\ncalib = "data.py:samples"\n')
    result = edgekit_forked("deploy", SMALL.model, "-o", tmp_path / "out", cwd=tmp_path, env=wide.env())
    assert result.returncode == 2, result.stderr
    assert "data.py:samples" in result.stderr
    assert not (tmp_path / "ran").exists()


def test_the_same_from_python(tmp_path: Path, wide: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in wide.env().items():
        monkeypatch.setenv(name, value)
    with np.load(SMALL.calibration) as data:
        feeds = [{name: data[name][i : i + 1] for name in data.files} for i in range(60)]
    report = sdk.deploy(
        SMALL.model, target="onnx", calib=feeds, eval=_constant_score, output=tmp_path / "out", max_drop="1%", budget="1s"
    )
    assert report.winner is not None
    assert sdk.check_bundle(tmp_path / "out").bundle.winner == report.winner
    profiled = sdk.profile(tmp_path / "out")
    assert profiled.rows[0].latency_s is not None
    assert sdk.inspect_model(sdk.load_model(SMALL.model)).findings == ()


def _constant_score(predict: Any) -> dict[str, Any]:
    with np.load(SMALL.evaluation) as data:
        name = next(n for n in data.files if n not in ("labels", "slices"))
        x, labels = data[name], data["labels"]
    answers = [int(next(iter(predict({name: x[i : i + 1]}).values())).argmax()) for i in range(100)]
    right = [float(a == int(b)) for a, b in zip(answers, labels[:100], strict=True)]
    return {
        "name": "top-1", "value": sum(right) / 100, "higher_is_better": True, "n": 100, "predictions": answers, "per_sample": right,
    }  # fmt: skip
