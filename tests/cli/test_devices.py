"""``edgekit devices``: what each command keeps, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import commands
from support.schemas import validator

from edgekit.cli import devices_setup
from edgekit.devices import open_device
from edgekit.devices.doctor import DeviceFinding, Diagnosis, Step
from edgekit.devices.store import DeviceEntry, load_entries, save_entry
from edgekit.errors import (
    DependencyError,
    DeviceUnavailableError,
    EdgekitError,
    UnknownNameError,
    UsageError,
)
from edgekit.profiles import machine_profile

PI = ("add", "pi", "ssh://edge@pi.lab", "--no-probe")


def printed(*arguments: str) -> str:
    result = commands.invoke("devices", *arguments)
    assert result.exit_code == 0, (result.exception, result.output)
    return result.stdout


def document(schema: str, *arguments: str) -> dict[str, Any]:
    value = json.loads(printed(*arguments, "--json"))
    assert isinstance(value, dict)
    validator(schema).validate(value)
    return value


def refused(error: type[EdgekitError], *arguments: str) -> EdgekitError:
    return commands.refused(error, "devices", *arguments)


# ---------------------------------------------------------------- the inventory
def test_a_device_is_added_shown_changed_and_forgotten() -> None:
    options = (
        "--profile",
        "rpi5",
        "--label",
        "board=pi5",
        "--label",
        "room=2",
        "--python",
        "/opt/py/bin/python3",
        "--meter",
        "none",
    )
    added = document("device-add", *PI, *options, "--become", "sudo -n")
    kept = {
        "name": "pi", "address": "ssh://edge@pi.lab", "profile": "raspberry-pi-5", "python": "/opt/py/bin/python3",
        "labels": {"board": "pi5", "room": "2"}, "meter": "none", "become": ["sudo", "-n"],
    }  # fmt: skip
    assert added["device"] == kept
    assert added["facts"] is None
    assert document("devices", "list")["devices"][1] == kept
    assert "board=pi5" in printed("list")
    shown = document("device", "show", "pi")
    assert (shown["profile"]["name"], shown["python"], shown["become"]) == ("raspberry-pi-5", "/opt/py/bin/python3", ["sudo", "-n"])
    assert "sudo -n" in printed("show", "pi")
    changed = document("device-add", "add", "pi", "--update", "--no-probe", "--label", "board=pi6", "--profile", "arm64")
    assert changed["device"] == {**kept, "labels": {"board": "pi6"}, "profile": "generic-arm64"}
    assert document("device-remove", "remove", "pi")["removed"]["address"] == "ssh://edge@pi.lab"
    assert [device["name"] for device in document("devices", "list")["devices"]] == ["local"]
    refused(UnknownNameError, "remove", "pi")


def test_a_device_without_a_profile_has_the_closest() -> None:
    printed(*PI)
    assert document("device", "show", "pi")["profile"] is None
    assert "the closest to what its probe says" in printed("show", "pi")


def test_this_machine_can_have_settings_of_its_own() -> None:
    added = document("device-add", "add", "local", "local", "--meter", "none")
    assert added["closest_profile"] == machine_profile().name
    assert added["facts"]["kind"] in ("real", "emulated")
    assert open_device(None).meter == "none"
    assert document("devices", "list")["devices"] == [added["device"]]


def test_this_machine_can_be_updated_before_it_is_kept() -> None:
    changed = document("device-add", "add", "local", "--update", "--no-probe", "--become", "sudo -n")
    assert (changed["device"]["address"], changed["device"]["become"]) == ("local", ["sudo", "-n"])
    assert open_device(None).become == ("sudo", "-n")


def test_adding_names_the_board_and_the_next_step() -> None:
    text = printed("add", "here", "local", "--profile", machine_profile().name)
    assert f"profile  {machine_profile().name}" in text
    assert "edgekit devices doctor here" in text


@pytest.mark.parametrize(
    ("arguments", "error", "expected"),
    [
        (("add", "x"), UsageError, "needs an address"),
        (("add", "x", "pi.lab", "--no-probe"), UsageError, "ssh://[user@]host"),
        (("add", "a,b", "ssh://a", "--no-probe"), UsageError, "device name"),
        (("add", "local", "ssh://a", "--no-probe"), UsageError, "this machine"),
        (("add", "x", "adb:1", "--no-probe"), DependencyError, "not supported yet"),
        ((*PI, "--profile", "rpi55"), UnknownNameError, "rpi5"),
        ((*PI, "--label", "board"), UsageError, "key=value"),
        ((*PI, "--meter", "watts"), UnknownNameError, "meter"),
        ((*PI, "--python", "python3 -c x"), UsageError, "python"),
        ((*PI, "--become", "sudo '"), UsageError, "become"),
        ((*PI, "--become", "sh -c $(id)"), UsageError, "become"),
        (("add", "pi", "--update"), UnknownNameError, "known"),
        (("show", "pi"), UnknownNameError, "local"),
        (("probe", "label:a=b"), UnknownNameError, "label"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], error: type[EdgekitError], expected: str) -> None:
    problem = refused(error, *arguments)
    assert expected in str(problem)
    assert load_entries() == {}


def test_a_name_that_is_taken_is_not_overwritten() -> None:
    printed(*PI)
    problem = refused(UsageError, "add", "pi", "ssh://other", "--no-probe")
    assert "--update" in problem.hint
    assert load_entries()["pi"].address == "ssh://edge@pi.lab"


def test_a_device_that_does_not_answer_is_not_kept_unless_asked() -> None:
    problem = refused(DeviceUnavailableError, "add", "gone", "ssh://127.0.0.1:1")
    assert "--no-probe" in problem.hint
    assert load_entries() == {}


def test_a_device_that_is_something_else_is_not_kept() -> None:
    problem = refused(UsageError, "add", "nano", "local", "--profile", "jetson-nano")
    assert "jetson-nano" in str(problem)
    assert load_entries() == {}


# ---------------------------------------------------------------- what a device says
def test_probe_tells_everything_and_the_closest_profile() -> None:
    found = document("probe", "probe")
    assert found["closest_profile"] == machine_profile().name
    assert found["facts"]["disk_free_bytes"] > 0
    text = printed("probe")
    for label in ("board", "profile", "disk", "governor", "zones", "power"):
        assert label in text


def test_doctor_on_this_machine() -> None:
    found = document("device-doctor", "doctor")
    subjects = {finding["subject"]: finding["level"] for finding in found["findings"]}
    assert subjects["numpy"] == subjects["onnxruntime"] == "ok"
    assert "lease" in subjects
    assert "ok       numpy" in printed("doctor")


def test_doctor_and_setup_of_a_device_that_does_not_answer() -> None:
    result = commands.invoke("devices", "doctor", "ssh://127.0.0.1:1", "--json")
    assert result.exit_code == 6
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["level"] == "problem"
    assert finding["hint"]
    refused(DeviceUnavailableError, "setup", "ssh://127.0.0.1:1")


# ---------------------------------------------------------------- setup
@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This machine under a name, lacking two files that its commands would make, the second of them as root."""
    save_entry("here", DeviceEntry("local"))
    steps = (
        Step(("touch", str(tmp_path / "made")), sets_python="python3"),
        Step(("touch", str(tmp_path / "by-root")), as_root=True),
        Step(("touch", str(tmp_path / "after"))),
    )
    finding = DeviceFinding("problem", "files", "are missing", steps=steps)
    monkeypatch.setattr(devices_setup, "_diagnose", lambda name: (open_device(name), Diagnosis([finding])))
    return tmp_path


def test_doctor_shows_the_commands(lacking: Path) -> None:
    result = commands.invoke("devices", "doctor", "here")
    assert result.exit_code == 3
    assert f"there: touch {lacking}/made" in result.stdout
    assert f"there: sudo touch {lacking}/by-root" in result.stdout
    assert "edgekit devices setup here" in result.stdout


def test_setup_asks_first(lacking: Path) -> None:
    problem = refused(UsageError, "setup", "here")
    assert "--yes" in problem.hint
    assert not (lacking / "made").exists()


def test_setup_runs_what_it_may_and_shows_the_rest(lacking: Path) -> None:
    result = commands.invoke("devices", "setup", "here", "--yes", "--json")
    assert isinstance(result.exception, DependencyError)
    found = json.loads(result.stdout)
    validator("device-setup").validate(found)
    assert found["done"] == [f"touch {lacking}/made"]
    assert found["by_hand"] == [f"sudo touch {lacking}/by-root", f"touch {lacking}/after"]
    assert (lacking / "made").exists()
    assert not (lacking / "after").exists(), "it waits for what comes before it"
    assert load_entries()["here"].python == "python3"


def test_setup_with_become_runs_everything(lacking: Path) -> None:
    save_entry("here", DeviceEntry("local", become=("env",)), replace=True)
    assert "3 commands run" in printed("setup", "here", "-y")
    assert (lacking / "by-root").exists()
    assert (lacking / "after").exists()


def test_what_is_only_a_note_leaves_nothing_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Diagnosis([DeviceFinding("note", "power", "closed", steps=(Step(("chmod", "a+r", "/x"), as_root=True),))])
    monkeypatch.setattr(devices_setup, "_diagnose", lambda name: (open_device(name), found))
    assert "no command run, 1 left to you" in printed("setup", "local")


def test_setup_of_a_device_that_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Diagnosis([DeviceFinding("ok", "numpy", "2")])
    monkeypatch.setattr(devices_setup, "_diagnose", lambda name: (open_device(name), found))
    assert "nothing to do" in printed("setup", "local")
