"""The command line as a user runs it: a process of its own, started by an interpreter or forked from one that waits.

A new interpreter imports for about a second before it does anything. Where that start is not the subject, ``edgekit_forked`` takes
a process that has these imports behind it; descriptors, signals, environment and working folder are its own all the same.
``invoke`` stays in this process.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from edgekit.errors import EdgekitError

SHOWN = {"NO_COLOR": "1", "COLUMNS": "160"}
IMPORTED_BEFORE = ["edgekit.cli.deploy", "edgekit.deployment", "edgekit.bundle", "edgekit.report.terminal", "edgekit_onnx.target"]


def edgekit(
    *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Runs ``edgekit ARGS`` and returns what it printed and its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "edgekit", *map(str, args)],
        cwd=cwd,
        env={**os.environ, **SHOWN, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def edgekit_forked(
    *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """The same without the start of an interpreter, and with no drawing of the search in the bundle."""
    arguments = list(map(str, args))
    with tempfile.TemporaryDirectory(prefix="edgekit-command-") as folder:
        streams = [Path(folder) / name for name in ("stdout", "stderr")]
        process = _context().Process(
            target=_run, args=(arguments, str(cwd or Path.cwd()), {**os.environ, **SHOWN, **(env or {})}, list(map(str, streams)))
        )
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout_s)
        stdout, stderr = (path.read_text(encoding="utf-8") for path in streams)
    return subprocess.CompletedProcess(arguments, process.exitcode, stdout, stderr)


def _context() -> ForkServerContext:
    """Its server starts with the first command, and ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_BEFORE)
    return context


def _run(arguments: list[str], cwd: str, environment: dict[str, str], streams: list[str]) -> None:
    """In the forked process: what a shell does before it starts a program, then the program."""
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        *((n, path, os.O_CREAT | os.O_RDWR) for n, path in enumerate(streams, 1)),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(n, mode, encoding="utf-8", closefd=False) for n, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    from edgekit.cli.main import main
    from edgekit.report import trail

    trail.draw_trail = lambda report: "<svg/>"  # the engine that draws takes a second to start, in every process
    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def invoke(*arguments: str | Path, **more: Any) -> Result:
    """One command in this process; its error is the result's ``exception``, which ``main`` would show."""
    from edgekit.cli.main import cli

    return CliRunner().invoke(cli, list(map(str, arguments)), **more)


def refused(error: type[EdgekitError], *arguments: str | Path) -> EdgekitError:
    """The error that a command ends with in this process, having printed nothing to stdout."""
    result = invoke(*arguments)
    assert isinstance(result.exception, error), (result.exception, result.output)
    assert result.stdout == ""
    return result.exception


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON document on stdout."""
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed
