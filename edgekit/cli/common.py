"""What every command shares: ``--json``, ``-v``, and the run they set up."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
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
    interrupted: bool = False  #: a signal asked this run to end
    log_file: Path | None = None
    document_fd: int | None = None  #: the real stdout, once :meth:`keep_stdout` has set it aside

    def keep_stdout(self) -> None:
        """From here on stdout is for the JSON document alone: what anything else writes to it goes to stderr.

        Prints of the user's functions, their subprocesses and native libraries share this process's descriptor 1, so it is the
        descriptor that moves. It is not put back: functions registered with ``atexit`` print too. For a process of our own only.
        """
        if self.document_fd is not None:
            return
        sys.stdout.flush()
        if isinstance(sys.stdout, io.TextIOWrapper):  # before its descriptor moves: it asks a file for its position
            sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        self.document_fd = os.dup(1)
        os.dup2(sys.stderr.fileno(), 1)

    def write_document(self, text: str) -> None:
        """Writes ``text`` to the real stdout, as UTF-8.

        Raises:
            OutputError: it cannot be written. BrokenPipeError is left to the edge of the program.
        """
        self.keep_stdout()
        assert self.document_fd is not None
        left = memoryview(text.encode("utf-8", "backslashreplace"))  # a lone surrogate becomes JSON's own escape
        try:
            while left:
                left = left[os.write(self.document_fd, left) :]
        except OSError as problem:
            if problem.errno == errno.EPIPE:
                raise
            raise stdout_broken(problem) from problem


def stdout_broken(problem: OSError) -> OutputError:
    return OutputError(
        "the output cannot be written", why=problem.strerror or str(problem), hint="make room, or send it somewhere else"
    )


def _start(ctx: click.Context, _: click.Parameter, verbose: bool) -> None:
    """Runs for every command, after ``--help`` had its chance: help and completion write no log."""
    run = ctx.find_object(Run)
    if run is None:
        return
    run.verbose = run.verbose or verbose
    if ctx.parent is not None:  # the group's own -v is only remembered; the command itself opens the log
        _open_log(run)
        if run.as_json:
            run.keep_stdout()


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


def json_wanted(ctx: click.Context, typed: bool, configured: bool = False) -> bool:
    """Whether ``--json`` was typed or ``json = true`` stands in edgekit.toml; a failure is reported accordingly.

    For commands that run the user's code. They show people everything on stderr, so stdout is set aside with and without JSON.
    """
    run = ctx.find_object(Run)
    if run is not None:
        run.as_json = run.as_json or typed or configured
        run.keep_stdout()
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


def print_json(document: Any, run: Run | None = None) -> None:
    """Prints the document on the real stdout of ``run`` (by default the current command's).

    Raises:
        OutputError: stdout cannot be written.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    context = click.get_current_context(silent=True)
    run = run or (context.find_object(Run) if context is not None else None)
    if run is None:
        click.echo(text)
    else:
        run.write_document(text + "\n")


def examples(*commands: str) -> str:
    """The epilog that shows how a command is used. ``\\b`` keeps click from rewrapping the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
