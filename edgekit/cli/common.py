"""What every command shares: ``--json``, ``-v``, and the run they set up."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import OutputError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Run:
    """One run of the ``edgekit`` program. Commands called inside somebody else's process (tests) have none."""

    cleanup: ExitStack = field(default_factory=ExitStack)
    verbose: bool = False
    as_json: bool = False
    log_file: Path | None = None


def _start(ctx: click.Context, _: click.Parameter, verbose: bool) -> None:
    """Runs for every command, after ``--help`` had its chance: help and completion write no log."""
    run = ctx.find_object(Run)
    if run is None:
        return
    run.verbose = run.verbose or verbose
    if ctx.parent is not None:  # the group's own -v is only remembered; the command itself opens the log
        _open_log(run)


def _open_log(run: Run) -> None:
    from .. import log

    if run.log_file is None:
        try:
            run.log_file = log.open_log()
        except OutputError as problem:
            click.echo(f"edgekit: no log file: {problem}", err=True)
            return
    if not run.verbose:
        run.cleanup.enter_context(log.native_stderr_to(run.log_file))
    run.cleanup.enter_context(log.logging_to(run.log_file, verbose=run.verbose))
    if run.verbose:
        click.echo(f"log: {run.log_file}", err=True)


def become_verbose(ctx: click.Context, wanted: bool) -> None:
    """``verbose = true`` in edgekit.toml: as ``-v``, from here on."""
    run = ctx.find_object(Run)
    if run is not None and wanted and not run.verbose:
        run.cleanup.close()  # undoes the quiet routing; the same log file is used again
        run.verbose = True
        _open_log(run)


def json_wanted(ctx: click.Context, typed: bool, configured: bool) -> bool:
    """Whether ``--json`` was typed or ``json = true`` stands in edgekit.toml; a failure is reported accordingly."""
    run = ctx.find_object(Run)
    if run is not None:
        run.as_json = run.as_json or typed or configured
    return typed or configured


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_start,
    help="Show the log and what the vendors' libraries print; the log file's path is named first.",
)


def common_options(command: F) -> F:
    """``--json`` (passed on as ``as_json``) and ``-v``."""
    json_option = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on stdout; everything else goes to stderr."
    )
    return json_option(verbose_option(command))


def is_verbose(ctx: click.Context) -> bool:
    run = ctx.find_object(Run)
    return run is not None and run.verbose


def print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def examples(*commands: str) -> str:
    """The epilog that shows how a command is used. ``\\b`` keeps click from rewrapping the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
