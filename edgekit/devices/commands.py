"""Runs a fixed command on a device, beside the agent: only ``devices setup`` does, after its user has seen and confirmed it.

The agent itself runs no commands. SSH hands a command to the login's shell as one text, so every word is quoted here, and the words
are constants of edgekit's or have passed the inventory's checks.
"""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeviceRunError, DeviceUnavailableError
from .inventory import Device
from .store import LOCAL
from .text import clean

if TYPE_CHECKING:
    from .ssh import SshTransport

STEP_S = 1800.0  # a package index may be far away, and a board's memory card slow
_MAX_LINE_CHARACTERS = 1 << 16

OnLine = Callable[[str], None]


def run_command(device: Device, argv: Sequence[str], on_line: OnLine, *, timeout_s: float = STEP_S) -> int:
    """Run ``argv`` on ``device``, starting in the home folder, without input; returns its exit status.

    Args:
        on_line: told every line of its output and errors, cleaned.

    Raises:
        DeviceUnavailableError: the device cannot be reached, or the connection broke.
        DeviceRunError: it did not end in time.
    """
    if device.address == LOCAL:
        return _run_here(argv, on_line, timeout_s)
    return _run_over_ssh(device, argv, on_line, timeout_s)


def _run_here(argv: Sequence[str], on_line: OnLine, timeout_s: float) -> int:
    try:
        done = subprocess.run(
            list(argv), cwd=Path.home(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout_s, check=False,
        )  # fmt: skip
    except OSError as problem:  # as a shell says it
        on_line(f"{argv[0]}: {problem.strerror or problem}")
        return 127 if isinstance(problem, FileNotFoundError) else 126
    except subprocess.TimeoutExpired as problem:
        raise _too_slow(argv, timeout_s) from problem
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        on_line(clean(line, 500))
    return done.returncode


def _run_over_ssh(device: Device, argv: Sequence[str], on_line: OnLine, timeout_s: float) -> int:
    import asyncssh

    from . import ssh_connect, ssh_loop
    from .ssh import CONNECT_S

    transport: SshTransport = device.transport  # type: ignore[assignment]  # what open_device makes of every other address

    async def run() -> int | None:
        status: int | None = None
        connection = await ssh_connect.connect(transport.destination, CONNECT_S)
        with ssh_connect.closed_on_failure(connection, transport.destination):
            async with connection, asyncio.timeout(timeout_s):
                process = await connection.create_process(
                    shlex.join(argv), stdin=asyncssh.DEVNULL, stderr=asyncssh.STDOUT, encoding="utf-8", errors="replace"
                )
                while line := await process.stdout.readline():
                    on_line(clean(line[:_MAX_LINE_CHARACTERS].rstrip("\r\n"), 500))
                status = (await process.wait()).exit_status
        return status

    try:
        status = ssh_loop.run(run())
    except TimeoutError as problem:
        raise _too_slow(argv, timeout_s) from problem
    if status is None:
        raise DeviceUnavailableError(f"the connection to {transport.destination.name} broke", why="the command's end was not heard")
    return status


def _too_slow(argv: Sequence[str], timeout_s: float) -> DeviceRunError:
    return DeviceRunError(f"{shlex.join(argv)} did not end within {timeout_s:g} s", hint="run it on the device by hand")
