"""``edgekit devices doctor`` and ``setup``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import common_options, examples, print_json

if TYPE_CHECKING:
    from ..devices import Device
    from ..devices.doctor import DeviceFinding, Diagnosis
    from ..devices.setup import SetupPlan

LOCAL = "local"
MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@click.command(epilog=examples("edgekit devices doctor lab-pi5", "edgekit devices doctor lab-pi5 --json"))
@click.argument("name", default=LOCAL)
@common_options
@click.pass_context
def doctor(ctx: click.Context, name: str, as_json: bool) -> None:
    """Say what a device lacks for deploying to it, and the exact command for each.

    Looks at the connection, Python, the runtimes of its profile, memory, disk, governors, power sensors and the lease. Nothing is
    changed. The exit code is 3 when something that a run needs is missing, and 6 when no agent could be started there.
    """
    device, diagnosis = _diagnose(name)
    if as_json:
        findings = [_finding(finding, device) for finding in diagnosis.findings]
        print_json({"schema": "edgekit.device-doctor/1", "name": device.name, "address": device.address, "findings": findings})
    else:
        _print_findings(diagnosis.findings, device)
    ctx.exit(diagnosis.exit_code)


def _diagnose(name: str) -> tuple[Device, Diagnosis]:
    from ..config import load_config
    from ..devices import open_device
    from ..devices.doctor import diagnose_device
    from ..profiles import closest_profile, get_profile
    from ..targets import DeviceRuntime, Needing, registry
    from ..types import DeviceFacts

    device = open_device(name)

    def runtimes(facts: DeviceFacts) -> list[DeviceRuntime]:
        profile = get_profile(device.profile) if device.profile else closest_profile(facts)
        targets = [registry()[name] for name in (profile.targets if profile else ()) if name in registry()]
        return [target.device_runtime for target in targets if isinstance(target, Needing)]

    return device, diagnose_device(device, runtimes, timeouts=load_config(Path.cwd()).timeouts)


def _finding(finding: DeviceFinding, device: Device) -> dict[str, Any]:
    from ..devices.setup import command_of

    commands = [command_of(step, device) for step in finding.steps]
    return {"level": finding.level, "subject": finding.subject, "text": finding.text, "hint": finding.hint, "commands": commands}


def _print_findings(findings: list[DeviceFinding], device: Device) -> None:
    from ..devices.setup import command_of
    from ..report.text import one_line

    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        click.echo(f"{MARKS[finding.level]}  {finding.subject:<{width}}  {one_line(finding.text)}")
        if finding.hint:
            click.echo(f"{'':<{width + 11}}hint: {one_line(finding.hint)}")
        for step in finding.steps:
            click.echo(f"{'':<{width + 11}}there: {one_line(command_of(step, device))}")
    if any(finding.steps for finding in findings):
        click.echo(f"\nedgekit devices setup {one_line(device.name)} runs the commands marked `there`, after you confirmed them.")


@click.command(epilog=examples("edgekit devices setup lab-pi5", "edgekit devices setup lab-pi5 --yes --json"))
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Run the commands without asking.")
@common_options
def setup(name: str, yes: bool, as_json: bool) -> None:
    """Install on a device what `edgekit devices doctor` found missing, after showing every command.

    The commands are edgekit's own fixed ones: a virtual environment of the login's beside the system's Python, pip into it, and,
    only where the device's --become allows it, what needs root. What needs root otherwise is printed for you to run.
    """
    from ..devices.setup import plan_setup, run_setup
    from ..errors import DependencyError
    from ..report.text import one_line

    device, diagnosis = _diagnose(name)
    if diagnosis.error is not None:
        raise diagnosis.error
    plan = plan_setup(diagnosis.findings, device)
    _show_plan(plan, device)
    done: tuple[str, ...] = ()
    python = None
    if plan.steps:
        _confirm(yes)

        def say(line: str) -> None:
            click.echo(f"  {one_line(line)}", err=True)

        result = run_setup(plan, device, on_step=lambda command: click.echo(f"$ {one_line(command)}", err=True), on_line=say)
        done, python = result.done, result.python
        if python is not None and not result.kept:
            click.echo(
                f"Give it from now on: edgekit devices add NAME {one_line(device.address)} --python {one_line(python)}", err=True
            )
    waiting = [*plan.by_hand, *plan.blocked]
    if as_json:
        document = {"schema": "edgekit.device-setup/1", "name": device.name, "address": device.address, "done": list(done)}
        print_json({**document, "python": python, "by_hand": _commands(waiting, device)})
    else:
        what = f"{len(done)} commands run" if done else "no command run" if waiting else "nothing to do"
        left = f", {len(waiting)} left to you" if waiting else ""
        click.echo(f"{one_line(device.name)}: {what}{left}")
    if plan.unfinished:
        raise DependencyError(
            f"setup of {device.name} is not finished",
            why="a command that needs root comes first, and the device has no `become`",
            hint=f"run what is shown above on the device, then: edgekit devices setup {device.name}",
        )


def _commands(steps: Any, device: Device) -> list[str]:
    from ..devices.setup import command_of

    return [command_of(step, device) for step in steps]


def _show_plan(plan: SetupPlan, device: Device) -> None:
    from ..report.text import one_line

    if plan.steps:
        click.echo(f"On {one_line(device.name)} ({one_line(device.address)}), one after the other:", err=True)
        for command in _commands(plan.steps, device):
            click.echo(f"  {one_line(command)}", err=True)
    if plan.by_hand:
        click.echo("These need root there; run them yourself:", err=True)
        for command in _commands(plan.by_hand, device):
            click.echo(f"  {one_line(command)}", err=True)
    if plan.blocked:
        click.echo("and these wait for them:", err=True)
        for command in _commands(plan.blocked, device):
            click.echo(f"  {one_line(command)}", err=True)


def _confirm(yes: bool) -> None:
    """Ask, unless ``--yes`` said it already.

    Raises:
        UsageError: there is nobody to ask.
        click.Abort: no.
    """
    from ..errors import UsageError

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("setup asks before it runs anything, and nobody can answer here", hint="add --yes")
    click.confirm("Run them?", abort=True, err=True)
