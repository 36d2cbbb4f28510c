"""Each command in this process: what it prints, its JSON, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from support.commands import invoke, refused
from support.small_models import classifier
from support.verdicts import REPORT

from edgekit import doctor
from edgekit.cli.main import cli
from edgekit.cli.request_options import default_output, gather
from edgekit.config import Config, load_config
from edgekit.errors import (
    BudgetError,
    DataError,
    IntegrityError,
    ModelError,
    OutputError,
    UnknownNameError,
    UsageError,
)
from edgekit.request import DeployRequest, Drop, LatencyLimit
from edgekit.types import DeployReport
from edgekit.values import from_json


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "home"


def printed(*arguments: str | Path) -> str:
    result = invoke(*arguments)
    assert result.exception is None, result.exception
    assert result.exit_code == 0, result.stderr
    return result.stdout


def document(*arguments: str | Path) -> dict[str, Any]:
    value = json.loads(printed(*arguments, "--json"))
    assert isinstance(value, dict)
    return value


# ---------------------------------------------------------------- targets, devices, cache, doctor
def test_targets_lists_plugins_profiles_and_aliases() -> None:
    listed = document("targets")
    assert {"null", "onnx"} <= {target["name"] for target in listed["targets"]}
    jetson = next(profile for profile in listed["profiles"] if "jetson" in profile["aliases"])
    assert jetson["targets"][0] == "tensorrt"
    text = printed("targets")
    assert "onnx" in text
    assert "jetson-orin-nano (jetson)" in text


def test_targets_holds_no_path_so_that_installations_can_be_compared() -> None:
    assert str(Path(__file__).parents[2]) not in json.dumps(document("targets"))


def test_devices_lists_and_shows_this_machine() -> None:
    assert document("devices", "list")["devices"][0]["name"] == "local"
    shown = document("devices", "show")
    assert "onnx" in shown["profile"]["targets"]
    assert shown["profile"]["name"] in printed("devices", "show", "local")
    refused(UnknownNameError, "devices", "show", "lokal")


def test_devices_probe_asks_the_agent() -> None:
    facts = document("devices", "probe")["facts"]
    assert facts["kind"] == "real"
    assert facts["cores"] >= 1
    assert "onnxruntime" in facts["runtimes"]
    assert facts["cpu_model"] in printed("devices", "probe")


def test_cache_shows_and_clears() -> None:
    assert document("cache", "show")["n_entries"] == 0
    assert "0 built candidates" in printed("cache", "show")
    assert document("cache", "clear")["removed_entries"] == 0


def test_doctor_reports_and_fails_only_when_the_core_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = document("doctor")["findings"]
    assert {"python", "numpy", "onnxruntime", "cpu", "memory", "cache folder"} <= {finding["subject"] for finding in findings}
    assert not any(finding["broken"] for finding in findings)
    note = doctor.Finding("note", "extra x", "not installed", "pip install x")
    broken = doctor.Finding("problem", "numpy", "cannot be imported", "pip install numpy", broken=True)
    monkeypatch.setattr(doctor, "diagnose", lambda: [note])
    assert "hint: pip install x" in printed("doctor")
    monkeypatch.setattr(doctor, "diagnose", lambda: [note, broken])
    result = invoke("doctor")
    assert result.exit_code == 3
    assert "PROBLEM  numpy" in result.stdout


# ---------------------------------------------------------------- inspect and check
def test_inspect_says_what_is_in_a_model(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    inspected = document("inspect", model)
    assert inspected["schema"] == "edgekit.inspect/1"
    assert inspected["content"]["operators"]["Conv"] == 1
    text = printed("inspect", model, "--target", "onnx")
    assert "input x: float32 [1, 1, 8, 8]" in text
    assert "operators: Conv 1" in text
    assert "cannot be told:" in text


def test_inspect_ranges(tmp_path: Path) -> None:
    from support.schemas import validator

    from edgekit.demo import demo_models

    small = demo_models()[1]
    arguments = ["inspect", small.model, "--calib", small.calibration, "--ranges"]
    inspected = document(*arguments)
    validator("inspect").validate(inspected)
    table = inspected["ranges"]
    assert table["tensors"][0]["tensor"] == inspected["inputs"][0]["name"]
    for row in table["tensors"]:
        assert row["count"] > 0
        low, high = row["ranges"]["minmax"]
        for other in row["ranges"].values():
            assert low <= other[0] <= 0 <= other[1] <= high
    assert table["calibration"]["n_feeds"] == table["n_feeds"] > 100
    assert table["calibration"]["n_unlike"] is not None
    text = printed(*arguments)
    assert "percentile" in text
    assert "calibration samples" in text
    fewer = document(*arguments, "--samples", "auto")["ranges"]
    assert 16 <= fewer["n_feeds"] <= table["n_feeds"]
    assert json.loads(invoke("cache", "show", "--json").stdout)["n_ranges"] == 2


def test_inspect_ranges_need_data(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    refused(UsageError, "inspect", model, "--ranges")
    refused(UsageError, "inspect", model, "--calib", tmp_path)
    refused(UsageError, "inspect", model, "--samples", "3")
    refused(UsageError, "inspect", model, "--ranges", "--calib", tmp_path, "--samples", "some")


def test_inspect_refuses_what_is_no_model(tmp_path: Path) -> None:
    refused(ModelError, "inspect", tmp_path / "missing.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x01garbage")
    refused(ModelError, "inspect", tmp_path / "broken.onnx")
    model = classifier(tmp_path / "model.onnx")
    refused(UsageError, "inspect", model, "--shape", "x=1xNx8")
    error = refused(UnknownNameError, "inspect", model, "--target", "onx")
    assert "onnx" in error.hint


def test_check_refuses_what_is_no_bundle(tmp_path: Path) -> None:
    refused(IntegrityError, "check", tmp_path / "missing")
    (tmp_path / "folder").mkdir()
    refused(IntegrityError, "check", tmp_path / "folder")
    (tmp_path / "folder" / "edgekit.json").write_text('{"schema": "edgekit.bundle/1"}')
    refused(IntegrityError, "check", tmp_path / "folder")


# ---------------------------------------------------------------- deploy, build, profile: what is refused before any work
@pytest.mark.parametrize("command", ["deploy", "build", "profile"])
def test_mistakes_in_a_request_are_refused_first(command: str, tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    refused(UsageError, command)
    refused(ModelError, command, tmp_path / "missing.onnx", "--target", "onnx")
    error = refused(UnknownNameError, command, model, "--target", "onx")
    assert "onnx" in error.hint
    refused(UsageError, command, model, "--shape", "nonsense")
    refused(DataError, command, model, "--target", "onnx", "--calib", tmp_path / "missing.npz")
    assert list(Path.cwd().iterdir()) == []


def test_an_output_that_is_no_bundle_is_refused_before_any_work(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    Path("model-onnx-edgekit").mkdir()
    Path("model-onnx-edgekit", "mine.txt").write_text("keep")
    refused(OutputError, "deploy", model, "--target", "onnx")
    assert Path("model-onnx-edgekit", "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("inside", ["model", "--calib", "--eval", "--baseline"])
def test_force_does_not_take_what_the_run_reads(tmp_path: Path, inside: str) -> None:
    """The folder is replaced at the end, with the only copy of the model or the data in it."""
    out = tmp_path / "out"
    model, data = classifier(tmp_path / "model.onnx"), out / "score.py:evaluate"
    (out / "data").mkdir(parents=True)
    arguments = [classifier(out / "data" / "model.onnx")] if inside == "model" else [model, inside, data]
    error = refused(UsageError, "deploy", *arguments, "--target", "onnx", "-o", out, "--force")
    assert f"lies in {out}" in error.what
    assert (out / "data").is_dir()


def test_paths_are_looked_at_by_edgekit_alone() -> None:
    """click would call an unreadable model or output a usage error (2); both are the model's or the output's (4)."""
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in cli.list_commands(context)]
    types = [parameter.type for command in commands if command for parameter in command.params]
    paths = [each for each in types if isinstance(each, click.Path)]
    assert len(paths) > 15
    assert not [each for each in paths if each.readable or each.exists or each.writable]


def test_what_cannot_be_looked_at_is_no_bug(tmp_path: Path) -> None:
    """A name that is too long, as a folder above that may not be entered, is refused by the system's calls themselves."""
    model, odd = classifier(tmp_path / "model.onnx"), tmp_path / ("x" * 300)
    key = tmp_path / "key"
    key.touch()
    for error, arguments in (
        (ModelError, ("deploy", odd, "-o", "out")),
        (ModelError, ("profile", odd)),
        (ModelError, ("inspect", odd)),
        (DataError, ("deploy", model, "--calib", odd)),
        (DataError, ("deploy", model, "--eval", f"{odd}.py:score")),
        (OutputError, ("deploy", model, "-o", odd)),
        (IntegrityError, ("check", odd)),
        (ModelError, ("check", odd.with_name(f"{odd.name}.onnx"), "--target", "jetson")),
        (UsageError, ("check", tmp_path, "--signers", odd)),
        (UsageError, ("sign", tmp_path, "--key", odd)),
        (OutputError, ("package", tmp_path / "bundle", "--format", "web", "-o", odd)),
        (IntegrityError, ("package", odd, "--format", "web", "-o", tmp_path / "out")),
    ):
        refused(error, *arguments)


def test_a_bundle_that_would_be_installed_into_itself_is_refused_before_any_work(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    error = refused(UsageError, "deploy", model, "--target", "onnx", "-o", "out", "--install", "out/live")
    assert "lies in the bundle" in error.what
    assert list(Path.cwd().iterdir()) == []


def test_a_dry_run_shows_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    report = document("deploy", model, "--target", "onnx", "--dry-run")
    assert report["winner"] is None
    reasons = {row["id"]: row["reason"] for row in report["candidates"]}
    assert "calibration" in reasons["onnx/int8"]
    result = invoke("deploy", model, "--target", "onnx", "--dry-run")
    assert result.stdout == ""
    assert "dry run, nothing was built" in " ".join(result.stderr.split())
    assert "onnx/int8" in result.stderr
    assert list(Path.cwd().iterdir()) == []


def test_the_configuration_file_sets_what_was_not_typed(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    Path("edgekit.toml").write_text('[deploy]\ntarget = "onnx"\ndry-run = true\njson = true\n')
    report = json.loads(invoke("deploy", model).stdout)
    assert report["target"] == "onnx"
    Path("edgekit.toml").write_text('[deploy]\ntarge = "onnx"\n')
    error = refused(UnknownNameError, "deploy", model)
    assert "target" in error.hint


@pytest.mark.parametrize("command", ["deploy", "profile"])
def test_clocks_are_locked_only_on_a_jetson_and_typing_undoes_the_file(command: str, tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    error = refused(UsageError, command, model, "--target", "onnx", "--lock-clocks")
    assert "Jetson" in error.what
    assert error.exit_code == 2
    config = Config(deploy={"lock_clocks": True})
    assert gather({"model": "m.onnx", "lock_clocks": None}, config).lock_clocks
    assert not gather({"model": "m.onnx", "lock_clocks": False}, config).lock_clocks
    if command == "deploy":
        Path("edgekit.toml").write_text("[deploy]\nlock-clocks = true\n")
        refused(UsageError, command, model, "--target", "onnx")
        assert document(command, model, "--target", "onnx", "--dry-run", "--no-lock-clocks")["request"]["lock_clocks"] is False


def test_code_that_nobody_typed_is_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    Path("data.py").write_text(f"open({str(ran)!r}, 'w').close()\ndef feeds():\n    yield from ()\n")
    model = classifier(tmp_path / "model.onnx")
    Path("edgekit.toml").write_text('[deploy]\ntarget = "onnx"\ncalib = "data.py:feeds"\n')
    for command in ("deploy", "build", "profile"):
        error = refused(UsageError, command, model)
        assert "data.py:feeds" in error.what
        assert "--allow-code" in error.hint
    assert not ran.exists()
    invoke("deploy", model, "--calib", "data.py:feeds", "--dry-run")
    assert ran.exists()


def test_what_was_typed_wins_over_the_file() -> None:
    config = Config(deploy={"threads": 4, "target": "null"})
    request = gather({"model": "m.onnx", "threads": 2, "target": None, "shape": ()}, config)
    assert (request.threads, request.target) == (2, ("null",))


def test_the_default_output_is_named_after_model_and_target() -> None:
    request = DeployRequest("some where/my model.onnx", target=("onnx", "jetson"))
    assert default_output(request) == Path("my_model-onnx-jetson-edgekit")


def test_the_verdict_goes_to_stderr_or_as_one_document_to_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.api.deploy", lambda *_, **__: REPORT)
    result = invoke("deploy", "model.onnx", "--target", "onnx", "--install", "live")
    assert result.stdout == ""
    assert "Winner: onnx/int8" in result.stderr
    assert "Installed: live" in result.stderr
    result = invoke("deploy", "model.onnx", "--target", "onnx", "--json")
    assert from_json(DeployReport, json.loads(result.stdout)) == REPORT
    assert "Winner" not in result.stderr


def test_a_budget_that_was_not_met_shows_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    def deploy(*_: object, **__: object) -> DeployReport:
        problem = BudgetError("no candidate met what was asked for", why="all refused")
        problem.report = replace(REPORT, winner=None, reason="nothing met the gates", bundle=None)
        raise problem

    monkeypatch.setattr("edgekit.api.deploy", deploy)
    result = invoke("deploy", "model.onnx", "--target", "onnx")
    assert isinstance(result.exception, BudgetError)
    assert "slice night [red]photos" in result.stderr
    assert "No winner: nothing met the gates" in result.stderr


def test_what_stands_in_the_file_about_measuring_alone_is_not_held_against_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[DeployRequest] = []

    def deploy(request: DeployRequest, **_: Any) -> DeployReport:
        seen.append(request)
        return REPORT

    monkeypatch.setattr("edgekit.api.deploy", deploy)
    Path("edgekit.toml").write_text(
        '[deploy]\nmax-latency = "12ms"\nsustain = "10m"\ngovernor = "performance"\npower-mode = "MAXN"\nlock-clocks = true\n'
        'max-drop = "2%"\n'
    )
    printed("build", "model.onnx")
    assert seen == [DeployRequest("model.onnx", max_drop=Drop(0.02))]


def test_only_typed_options_reach_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, dict[str, Any]]] = []

    def deploy(request: DeployRequest, **options: Any) -> DeployReport:
        seen.append((request, options))
        return REPORT

    monkeypatch.setattr("edgekit.api.deploy", deploy)
    typed = [
        "--target", "onnx,jetson", "--device", "local", "--calib", "c.npz", "--eval", "e.npz", "--metric", "accuracy",
        "--precision", "int8", "--max-drop", "2%", "--min-agreement", "0.9", "--max-latency", "12ms p50", "--objective", "size",
        "--baseline", "b.onnx", "--shape", "x=1x3", "--shape", "y=2", "--samples", "50", "--threads", "2", "--budget", "2m",
        "--eval-on", "host", "--install", "live", "-o", "out", "--force",
    ]  # fmt: skip
    invoke("deploy", "model.onnx", *typed)
    request, options = seen[0]
    assert request == DeployRequest(
        "model.onnx", target=("onnx", "jetson"), device="local", calib="c.npz", eval="e.npz", metric="accuracy", precision="int8",
        max_drop=Drop(0.02), min_agreement=0.9, max_latency=LatencyLimit(0.012, "p50"), objective="size", baseline="b.onnx",
        shape={"x": (1, 3), "y": (2,)}, samples=50, threads=2, budget_s=120.0, eval_on="host",
    )  # fmt: skip
    assert (options["output"], options["install"], options["force"]) == (Path("out"), Path("live"), True)
    invoke("deploy", "model.onnx")
    assert seen[1][0] == DeployRequest("model.onnx")
    assert seen[1][1]["output"] == Path("model-auto-edgekit")


# ---------------------------------------------------------------- init
def test_init_writes_a_file_that_deploy_reads(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    printed("init", model, "--target", "onnx", "--calib", 'odd "name"\\.npz')
    config = load_config(Path.cwd())
    assert config.deploy == {"target": "onnx", "calib": 'odd "name"\\.npz'}
    text = Path("edgekit.toml").read_text()
    assert "# input  x: float32 [1, 1, 8, 8]" in text
    error = refused(OutputError, "init", model)
    assert "exists already" in error.what
    assert Path("edgekit.toml").read_text() == text


def test_init_refuses_a_name_that_toml_cannot_hold(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    error = refused(UsageError, "init", model, "--calib", "photos\udcff.npz")
    assert error.why.startswith("calib = ")
    assert list(Path.cwd().iterdir()) == []


def test_every_commented_line_of_init_is_valid_when_it_is_used(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    assert document("init", model, "--yes")["schema"] == "edgekit.init/1"
    lines = Path("edgekit.toml").read_text().splitlines()
    used = [line.removeprefix("# ") if " = " in line and line.startswith("# ") else line for line in lines]
    Path("edgekit.toml").write_text("\n".join(used))
    config = load_config(Path.cwd())
    assert {"metric", "max_drop", "min_agreement", "max_latency", "objective", "shape", "threads", "budget"} <= set(config.deploy)
    assert config.timeouts.load_s == 120


def test_init_refuses_an_unknown_target_and_writes_nothing(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    refused(UnknownNameError, "init", model, "--target", "onx")
    refused(ModelError, "init", tmp_path / "missing.onnx")
    assert list(Path.cwd().iterdir()) == []


# ---------------------------------------------------------------- options that say nothing alone, or too much
@pytest.mark.parametrize(("option", "value", "partner"), [("metric", "accuracy", "eval"), ("samples", 50, "calib")])
def test_an_option_that_does_nothing_alone_is_refused(tmp_path: Path, option: str, value: object, partner: str) -> None:
    model = classifier(tmp_path / "model.onnx")
    error = refused(UsageError, "deploy", model, f"--{option}", str(value), "--dry-run")
    assert f"--{option} {value} does nothing without --{partner}" in error.what
    Path("edgekit.toml").write_text(f"[deploy]\n{option} = {json.dumps(value)}\n")
    error = refused(UsageError, "build", model)
    assert "edgekit.toml" in error.why
    typed: dict[str, Any] = dict.fromkeys(DeployRequest.__dataclass_fields__) | {"model": "m.onnx", partner: "data.npz"}
    assert getattr(gather(typed, load_config(Path.cwd())), option) == value
    gather({"model": "m.onnx", "calib": None}, load_config(Path.cwd()))  # profile has neither option: the file is for deploy


def test_odd_values_are_warned_of_on_stderr(tmp_path: Path) -> None:
    model = classifier(tmp_path / "model.onnx")
    result = invoke("deploy", model, "--target", "onnx", "--max-drop", "1", "--threads", "1024", "--dry-run", "--json")
    assert json.loads(result.stdout)["schema"]
    assert "did you mean 1%?" in result.stderr
    assert "--threads 1024 is more than the" in result.stderr
    result = invoke("deploy", model, "--target", "onnx", "--max-drop", "0.5", "--threads", "1", "--dry-run")
    assert "edgekit: warning" not in result.stderr
    refused(UsageError, "deploy", model, "--max-drop", "100%")
    refused(UsageError, "deploy", model, "--threads", "999999")
