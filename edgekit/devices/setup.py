"""Puts on a device what :mod:`.doctor` found missing: the same fixed commands, each shown and confirmed before it runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..errors import DeviceRunError
from .commands import OnLine, run_command
from .doctor import DeviceFinding, Step
from .inventory import Device
from .store import load_entries, save_entry

Run = Callable[[Device, Sequence[str], OnLine], int]


@dataclass(frozen=True)
class SetupPlan:
    """``steps`` run in this order; ``by_hand`` need root, which the device's ``become`` does not give, and block ``blocked``.

    ``unfinished``: what a run needs is among those that are left to the user.
    """

    steps: tuple[Step, ...]
    by_hand: tuple[Step, ...]
    blocked: tuple[Step, ...]
    unfinished: bool


@dataclass(frozen=True)
class SetupResult:
    """``done``: the commands that ran; ``python``: what the device's ``python`` is now, ``None`` where it stays as it was."""

    done: tuple[str, ...]
    python: str | None
    kept: bool


def plan_setup(findings: Sequence[DeviceFinding], device: Device) -> SetupPlan:
    """What can be run from here. The steps after one that must be made by hand wait for it."""
    steps: list[Step] = []
    by_hand: list[Step] = []
    blocked: list[Step] = []
    unfinished = False
    for finding in findings:
        waits = False
        for step in finding.steps:
            if waits:
                blocked.append(step)
            elif step.as_root and not device.become:
                by_hand.append(step)
                waits = True
            else:
                steps.append(step)
        unfinished = unfinished or (waits and finding.level == "problem")
    return SetupPlan(tuple(steps), tuple(by_hand), tuple(blocked), unfinished)


def command_of(step: Step, device: Device) -> str:
    """The command line of a step on the device, as it is run or as a person would type it there."""
    prefix = (device.become or ("sudo",)) if step.as_root else ()
    return shlex.join([*prefix, *step.argv])


def run_setup(plan: SetupPlan, device: Device, *, on_step: OnLine, on_line: OnLine, run: Run = run_command) -> SetupResult:
    """Run the plan's steps one after the other; the first that fails ends it.

    A device of the inventory gets its new ``python`` as soon as the environment is there, so that what follows finds it.

    Raises:
        DeviceUnavailableError: the device cannot be reached.
        DeviceRunError: a command failed; names it and its last words.
    """
    done: list[str] = []
    python: str | None = None
    kept = False
    for step in plan.steps:
        command = command_of(step, device)
        on_step(command)
        said: list[str] = []

        def hear(line: str, said: list[str] = said) -> None:
            said.append(line)
            del said[:-3]
            on_line(line)

        prefix = device.become if step.as_root else ()
        status = run(device, [*prefix, *step.argv], hear)
        if status != 0:
            raise DeviceRunError(
                f"setup of {device.name} failed at: {command}",
                why=f"exit status {status}" + (f"; it had printed: {' / '.join(said)}" if said else ""),
                hint=f"{len(done)} commands before it were run; what is missing still: edgekit devices doctor {device.name}",
            )
        done.append(command)
        if step.sets_python is not None:
            python = step.sets_python
            kept = _keep_python(device.name, python)
    return SetupResult(tuple(done), python, kept)


def _keep_python(name: str, python: str) -> bool:
    entry = load_entries().get(name)
    if entry is None:
        return False
    save_entry(name, replace(entry, python=python), replace=True)
    return True
