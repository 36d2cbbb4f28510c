from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgekit.devices.commands import OnLine
from edgekit.devices.doctor import DeviceFinding, Step
from edgekit.devices.inventory import Device, device_of, open_device
from edgekit.devices.setup import command_of, plan_setup, run_setup
from edgekit.devices.store import DeviceEntry, load_entries, save_entry
from edgekit.errors import DeviceRunError

VENV = Step(("python3", "-m", "venv", "v"), sets_python="v/bin/python")
PIP = Step(("v/bin/python", "-m", "pip", "install", "numpy"))
ROOT = Step(("apt-get", "install", "-y", "python3-venv"), as_root=True)
OTHER = Step(("chmod", "a+r", "/x y"), as_root=True)


def finding(*steps: Step) -> DeviceFinding:
    return DeviceFinding("problem", "s", "t", steps=steps)


def entry(**changes: object) -> DeviceEntry:
    return DeviceEntry(**{"address": "local", **changes})  # type: ignore[arg-type]


class Recorder:
    """Answers each command with the next status, and notes what was asked."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[list[str]] = []

    def __call__(self, device: Device, argv: Sequence[str], on_line: OnLine) -> int:
        del device
        self.asked.append(list(argv))
        on_line(f"line {len(self.asked)}")
        return self.statuses.pop(0) if self.statuses else 0


def ignore(_: str) -> None:
    return None


def test_what_needs_root_is_left_to_the_user_without_become() -> None:
    plan = plan_setup([finding(VENV, PIP), finding(ROOT, PIP), finding(OTHER)], device_of("pi", entry()))
    assert plan.steps == (VENV, PIP)
    assert plan.by_hand == (ROOT, OTHER)
    assert plan.blocked == (PIP,)
    assert plan.unfinished


def test_become_goes_before_what_needs_root_and_nothing_else() -> None:
    device = device_of("pi", entry(become=("sudo", "-n")))
    plan = plan_setup([finding(ROOT, VENV), finding(OTHER)], device)
    assert (plan.by_hand, plan.blocked, plan.unfinished) == ((), (), False)
    run = Recorder()
    shown: list[str] = []
    run_setup(plan, device, on_step=shown.append, on_line=ignore, run=run)
    assert run.asked == [["sudo", "-n", *ROOT.argv], list(VENV.argv), ["sudo", "-n", *OTHER.argv]]
    assert shown == ["sudo -n apt-get install -y python3-venv", "python3 -m venv v", "sudo -n chmod a+r '/x y'"]
    assert command_of(ROOT, device_of("pi", entry())) == "sudo apt-get install -y python3-venv"


def test_the_device_is_given_its_new_python() -> None:
    save_entry("pi", entry(labels={"board": "pi5"}, meter="none"))
    device = open_device("pi")
    result = run_setup(plan_setup([finding(VENV, PIP)], device), device, on_step=ignore, on_line=ignore, run=Recorder())
    assert (result.python, result.kept, len(result.done)) == ("v/bin/python", True, 2)
    assert load_entries()["pi"] == entry(labels={"board": "pi5"}, meter="none", python="v/bin/python")


def test_a_device_that_is_not_kept_is_not_added() -> None:
    device = device_of("ssh-like", entry())
    result = run_setup(plan_setup([finding(VENV)], device), device, on_step=ignore, on_line=ignore, run=Recorder())
    assert (result.python, result.kept) == ("v/bin/python", False)
    assert load_entries() == {}


def test_the_first_failure_ends_it() -> None:
    save_entry("pi", entry())
    device = open_device("pi")
    run = Recorder(0, 1)
    heard: list[str] = []
    with pytest.raises(DeviceRunError) as caught:
        run_setup(plan_setup([finding(VENV, PIP), finding(OTHER)], device), device, on_step=ignore, on_line=heard.append, run=run)
    assert len(run.asked) == 2
    assert heard == ["line 1", "line 2"]
    assert "pip install numpy" in caught.value.what
    assert "line 2" in caught.value.why
    assert "devices doctor pi" in caught.value.hint
    assert load_entries()["pi"].python == "v/bin/python", "the environment is there: what follows must find it"
