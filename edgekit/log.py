"""Where edgekit's own log and the vendors' chatter go: a file a run, never the terminal unless ``-v`` asks for it.

Python logging and Python warnings are routed through handlers. Native libraries write to file descriptor 2 behind Python's back, so
the command line points that descriptor at the log file and keeps the terminal for itself (the agent does the same for its workers).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import OutputError
from .state import private_dir, state_dir

KEPT_LOGS = 50
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def open_log() -> Path:
    """A new, empty log file of this run under ``state_dir()/logs``; the oldest beyond ``KEPT_LOGS`` are removed.

    Raises:
        OutputError: the state folder cannot be written.
    """
    folder = private_dir(state_dir() / "logs")
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        path.touch(mode=0o600)
    except OSError as problem:
        raise OutputError(
            f"cannot write {path}", why=problem.strerror or str(problem), hint="set EDGEKIT_HOME to another folder"
        ) from problem
    for old in sorted(folder.glob("*.log"))[:-KEPT_LOGS]:
        old.unlink(missing_ok=True)
    return path


class _LogFile(logging.FileHandler):
    """A log is worth less than the run: on a full disk lines are lost, and neither a traceback nor the exit code comes of it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def logging_to(path: Path, *, verbose: bool) -> Iterator[None]:
    """Python logging and warnings go to ``path`` while the block runs; with ``verbose`` to stderr as well."""
    root = logging.getLogger()
    handlers: list[logging.Handler] = [_LogFile(path, encoding="utf-8", errors="backslashreplace")]
    if verbose:
        handlers.append(logging.StreamHandler(sys.stderr))
    level_before = root.level
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT))
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.setLevel(level_before)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


@contextlib.contextmanager
def native_stderr_to(path: Path) -> Iterator[None]:
    """File descriptor 2 appends to ``path`` while the block runs; ``sys.stderr`` still reaches the terminal.

    For a process of our own only: it rebinds ``sys.stderr``.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 2)
    os.close(log)
    before = sys.stderr
    sys.stderr = os.fdopen(os.dup(terminal), "w", encoding=before.encoding, errors="backslashreplace", buffering=1)
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            sys.stderr.close()
        sys.stderr = before
        os.dup2(terminal, 2)
        os.close(terminal)
