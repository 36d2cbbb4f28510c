"""Several devices at once, without devices: what is one's own and what is everybody's."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from support.reports import full_report
from support.schemas import validator

from edgekit.devices.inventory import Device
from edgekit.devices.transport import LocalTransport
from edgekit.errors import DeviceRunError, DeviceUnavailableError
from edgekit.fleet import FleetReport, fleet_document, folder_names, is_fleet, run_on_all
from edgekit.progress import Silent
from edgekit.report.fleet import print_fleet


def device(name: str, *, here: bool = False) -> Device:
    return Device(name, name, LocalTransport(address=name, shares_files=here))


def fleet_of(outcomes: dict[str, Callable[[], Any]]) -> FleetReport[Any]:
    return run_on_all([device(name) for name in outcomes], lambda one, _: outcomes[one.name](), Silent())


def failing(problem: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise problem

    return fail


def test_one_that_fails_stops_nobody() -> None:
    together = threading.Barrier(4, timeout=20)  # so all four are there at once

    def after_all(outcome: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: (together.wait(), outcome())[1]

    fleet = fleet_of(
        {
            "b": after_all(full_report),
            "busy": after_all(failing(DeviceUnavailableError("in use", hint="wait"))),
            "a": after_all(full_report),
            "odd": after_all(failing(ZeroDivisionError("oh \x1b[31m"))),
        }
    )
    assert [run.device for run in fleet.runs] == ["b", "busy", "a", "odd"]
    assert fleet.exit_code == 6
    document = json.loads(json.dumps(fleet_document(fleet)))
    validator("fleet").validate(document)
    assert document["runs"][1] == {
        "schema": "edgekit.error/1", "exit_code": 6, "what": "in use", "why": "", "hint": "wait", "device": "busy",
    }  # fmt: skip
    assert document["runs"][3]["exit_code"] == 1
    text = io.StringIO()
    print_fleet(fleet, Console(file=text, width=120))
    shown = text.getvalue()
    assert "busy failed: in use (wait)" in shown
    assert "failed (6)" in shown
    assert "\x1b" not in shown
    assert full_report().winner.id in shown  # type: ignore[union-attr]


def test_all_well_is_exit_code_0_and_the_first_failure_s_otherwise() -> None:
    assert fleet_of({"a": full_report}).exit_code == 0
    failures = {"a": failing(DeviceRunError("x")), "b": failing(DeviceUnavailableError("y"))}
    assert fleet_of(failures).exit_code == 7


def test_this_machine_comes_last_and_alone() -> None:
    done: list[str] = []
    devices = [device("local", here=True), device("far"), device("near")]
    fleet = run_on_all(devices, lambda one, _: done.append(one.name), Silent())
    assert done[-1] == "local"
    assert [run.device for run in fleet.runs] == ["local", "far", "near"]


def test_progress_is_told_with_the_device_s_name() -> None:
    told: list[str] = []

    class Told(Silent):
        def stage(self, text: str) -> None:
            told.append(text)

    run_on_all([device("a"), device("b")], lambda _, progress: progress.stage("building"), Told())
    assert sorted(told) == ["a: building", "b: building"]


def test_an_interrupt_stops_all(signals_as_in_a_terminal: None) -> None:
    """In a program of its own: the signal must not reach what runs the tests."""
    program = Path(__file__).parent / "support" / "interrupted_fleet.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "interrupted; ended: a b\n", done.stderr


def test_every_device_has_a_folder_of_its_own() -> None:
    names = ["pi5", "ssh://me@board:22", "ssh://me@board/22", "PI5", "..", "a/b"]
    folders = folder_names([device(name) for name in names])
    assert list(folders) == names
    assert folders["ssh://me@board:22"] == "ssh_me_board_22"
    assert len({folder.lower() for folder in folders.values()}) == len(names)
    assert all("/" not in folder and not folder.startswith(".") for folder in folders.values())


def test_what_means_several_devices() -> None:
    assert [is_fleet(spec) for spec in (None, "pi5", "ssh://me@host", "a,b", "label:x=y")] == [False, False, False, True, True]
