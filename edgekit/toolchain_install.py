"""Making a toolchain's environment: venv and pip, from a lock with hashes, wheels only.

Nothing of the user's environment reaches pip but the way to the index.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import DependencyError
from .progress import Progress
from .toolchain_locks import Toolchain

_log = logging.getLogger(__name__)
#: How the index is reached, which is the user's affair: what arrives is compared with the lock's hashes.
_REACHES_INDEX = re.compile(
    r"PATH|HOME|TMPDIR|LANG|LC_ALL|XDG_(CONFIG|CACHE)_(HOME|DIRS)|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|(HTTPS?|NO|ALL)_PROXY"
    r"|PIP_(INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|CERT|CLIENT_CERT|PROXY|TRUSTED_HOST|DEFAULT_TIMEOUT|CONFIG_FILE|CACHE_DIR)",
    re.IGNORECASE,
)
_PIP = ("-I", "-m", "pip", "--no-input", "--disable-pip-version-check")
_INSTALL = ("install", "--require-hashes", "--only-binary", ":all:", "--no-deps", "--progress-bar", "off")
_COLLECTING = re.compile(r"(?:Collecting|Processing) (?:\S*/)?([A-Za-z0-9_.]+(?:-[A-Za-z_.]+)*)")
_KEPT_LINES = 200


def install(toolchain: Toolchain, folder: Path, *, timeout_s: float, progress: Progress) -> None:
    """Make the environment in ``folder``, which exists and is empty.

    Raises:
        DependencyError: no venv module, a package that cannot be had, a wrong hash, a module that cannot be imported, or
            ``timeout_s`` is over; says which, and what pip said.
    """
    lock = toolchain.lock
    assert lock is not None, "lock_sha256() has refused what has none"
    progress.note(f"installing the toolchain {toolchain.name} ({toolchain.size_bytes / 1e6:.0f} MB, once): it {toolchain.about}")
    work = _Work(toolchain.name, timeout_s)
    python = folder / "bin" / "python"
    work.do([sys.executable, "-I", "-m", "venv", str(folder)], "the venv module", hint="install python3-venv of your system")
    packages = len(lock.read_text("utf-8").splitlines()) - 1
    seen = 0

    def show(line: str) -> None:
        nonlocal seen
        found = _COLLECTING.match(line)
        if found:
            progress.advance(min(seen, packages), packages, f"toolchain {toolchain.name}: {found[1]}")
            seen += 1

    options = ["--ignore-requires-python"] if toolchain.ignore_requires_python else []
    command = [str(python), *_PIP, *_INSTALL, *options, "-r", str(lock)]
    work.do(command, "pip", show, hint="it needs a package index; PIP_INDEX_URL and PIP_PROXY are honoured")
    # The packages never need it, and without it nothing can be added to what was locked.
    work.do([str(python), *_PIP, "uninstall", "--yes", "--quiet", "pip", "setuptools"], "pip")
    imports = "".join(f"import {module}\n" for module in toolchain.imports)
    work.do([str(python), "-I", "-B", "-c", imports], "a trial import")


class _Work:
    """Commands that together may take ``timeout_s`` seconds."""

    def __init__(self, name: str, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._ends_s = time.monotonic() + timeout_s
        self._environment = {key: value for key, value in os.environ.items() if _REACHES_INDEX.fullmatch(key)}

    def do(self, command: list[str], what: str, show: Callable[[str], None] | None = None, *, hint: str = "") -> None:
        """Run ``command``; ``show`` gets every line of its output.

        Raises:
            DependencyError: it failed, with its last error, or time is up.
        """
        child = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        is_over = threading.Event()

        def end() -> None:
            is_over.set()
            _kill(child)

        watch = threading.Timer(max(self._ends_s - time.monotonic(), 0.0), end)
        watch.daemon = True
        watch.start()
        lines: deque[str] = deque(maxlen=_KEPT_LINES)
        try:
            assert child.stdout is not None
            with child.stdout:
                for line in child.stdout:
                    _log.info("%s", line.rstrip())
                    lines.append(line.strip())
                    if show is not None:
                        show(line)
            code = child.wait()
        finally:  # also on Ctrl-C
            watch.cancel()
            _kill(child)
            child.wait()
        if code == 0 and not is_over.is_set():
            return
        if is_over.is_set():
            why, hint = f"{what} was not done within {self._timeout_s:g} s", "set [timeouts] toolchain in edgekit.toml"
        else:
            why = f"{what} failed: {_last_error(lines) or f'it ended with code {code}'}"
        raise DependencyError(f"the toolchain {self._name} cannot be made", why=why, hint=hint)


def _kill(child: subprocess.Popen[str]) -> None:
    """The command and all that it started; it is a session of its own."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _last_error(lines: Sequence[str]) -> str:
    """What pip calls an error (the hash that differs stands in the lines after it); otherwise the last line."""
    errors = [index for index, line in enumerate(lines) if line.startswith("ERROR:")]
    said = [*lines][errors[0] :][:8] if errors else [line for line in lines if line][-1:]
    text = " ".join(" ".join(said).split())
    return "".join(character for character in text if character.isprintable())[:500]
