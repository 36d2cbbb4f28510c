"""Devices over SSH: the address that a user gives, and the transport behind it.

Connections are made by asyncssh, which reads ``~/.ssh/config`` (jump hosts included), asks the SSH agent for keys and always checks
the host key. It is imported when the first connection is made.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import UsageError
from .ssh_destination import Destination

if TYPE_CHECKING:
    from .ssh_pipes import SshPipes

CONNECT_S = 15.0
STALL_S = 30.0
_PYTHON = re.compile(r"[A-Za-z0-9_./-]+\Z")
_USER = re.compile(r"[A-Za-z0-9_.$][A-Za-z0-9_.$@+-]*\Z")
_HOST = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:%-]*\Z")


@dataclass(frozen=True)
class SshTransport:
    """A device that runs an SSH server. Made by :func:`ssh_transport`."""

    address: str
    destination: Destination
    python: str
    shares_files: bool = False

    def spawn(self, zipapp: Path) -> SshPipes:
        """Connect, bring the agent where it is not there yet, and start it.

        Raises:
            DeviceUnavailableError: not reachable, its host key not known or changed, no key of the user's accepted, no Python 3.8.
            DeviceRunError: no room for the agent there.
            IntegrityError: its folder there is not this user's alone.
        """
        from . import ssh_bootstrap, ssh_connect, ssh_loop, ssh_pipes

        async def start() -> SshPipes:
            connection = await ssh_connect.connect(self.destination, CONNECT_S)
            with ssh_connect.closed_on_failure(connection, self.destination):
                return await ssh_pipes.open_pipes(connection, ssh_bootstrap.COMMAND.format(python=self.python))

        pipes = ssh_loop.run(start())
        try:
            ssh_bootstrap.start_agent(
                pipes, zipapp, place=self.destination.name, python=self.python,
                remote=lambda command: self.destination.command(*shlex.split(command)), answer_s=CONNECT_S, stall_s=STALL_S,
            )  # fmt: skip
        except BaseException:
            pipes.kill()
            raise
        return pipes


def ssh_transport(address: str, *, python: str = "python3") -> SshTransport:
    """The transport for ``ssh://[user@]host[:port]``; no connection is made yet.

    Args:
        address: ``host`` may be an alias of ``~/.ssh/config``; what the address leaves out is taken from there.
        python: the interpreter on the device, a name or a path.

    Raises:
        UsageError: not such an address, or not such an interpreter.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as problem:
        raise _not_an_address(address, str(problem)) from problem
    if parts.scheme != "ssh" or not parts.netloc:
        raise _not_an_address(address, "it does not start with ssh:// and a host")
    if parts.password is not None:
        raise _not_an_address(f"ssh://...@{parts.hostname}", "it holds a password, which others can read in a list of processes")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise _not_an_address(address, "something follows the host")
    user, host = parts.username, parts.netloc.rpartition("@")[2]
    host = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    if not _HOST.match(host) or (user is not None and not _USER.match(user)):
        raise _not_an_address(address, "the host or the user has characters that no such name has")
    if not _PYTHON.match(python):
        raise UsageError(f"{python!r} is no interpreter that can be named", why="letters, digits and _ . / - only")
    return SshTransport(address, Destination(host, user, port), python)


def _not_an_address(address: str, why: str) -> UsageError:
    return UsageError(f"{address} is not the address of a device", why=why, hint="ssh://[user@]host[:port]")
