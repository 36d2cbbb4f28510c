"""Transports: how the agent is started somewhere, and the three pipes to it. Everything else is the same for every device."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from ..errors import DeviceUnavailableError


class Pipes(Protocol):
    """The agent's standard streams, unbuffered, as seen from the host, and a way to end it."""

    stdin: BinaryIO
    stdout: BinaryIO
    stderr: BinaryIO

    def kill(self) -> None:
        """End the agent at once; safe to call twice and from another thread."""
        ...

    def wait(self, timeout_s: float) -> int | None:
        """Its exit status, or ``None`` when it has not ended within ``timeout_s`` seconds."""
        ...


class Transport(Protocol):
    """A way to a device. ``shares_files``: the agent can open this machine's paths, so files need not be sent."""

    @property
    def address(self) -> str: ...

    @property
    def shares_files(self) -> bool: ...

    def spawn(self, zipapp: Path) -> Pipes:
        """Start the agent.

        Raises:
            DeviceUnavailableError: it cannot be started.
        """
        ...


class ProcessPipes:
    """The pipes of a child process of this one."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdin: BinaryIO = process.stdin  # type: ignore[assignment]
        self.stdout: BinaryIO = process.stdout  # type: ignore[assignment]
        self.stderr: BinaryIO = process.stderr  # type: ignore[assignment]
        self.process = process

    def kill(self) -> None:
        """End the agent's process group; its workers die with it."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, timeout_s: float) -> int | None:
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


@dataclass(frozen=True)
class LocalTransport:
    """This machine. The agent runs in a session of its own, so that Ctrl-C reaches the host alone, which then ends it in order.

    ``lease_folder``: where the agent's lease file lies instead of the machine's own: for work that measures nothing, and so neither
    has to wait for whoever measures here nor makes them wait.
    """

    python: str = sys.executable
    address: str = "local"
    shares_files: bool = True
    lease_folder: Path | None = None

    def spawn(self, zipapp: Path) -> ProcessPipes:
        try:
            process = subprocess.Popen(
                [self.python, str(zipapp), "--allow-paths"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env=None if self.lease_folder is None else {**os.environ, "EDGEKIT_LEASE_DIR": str(self.lease_folder)},
            )
        except OSError as problem:
            raise DeviceUnavailableError(
                "the agent cannot be started on this machine",
                why=f"{self.python}: {problem.strerror or problem}",
                hint="give the path of a Python 3.8 or later",
            ) from problem
        return ProcessPipes(process)


def local_transport(python: str = sys.executable) -> Transport:
    """The transport to this machine, with ``python`` as the agent's interpreter."""
    return LocalTransport(python)
