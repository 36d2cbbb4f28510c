"""Opens an SSH connection, through jump hosts where the configuration says so, and says what to do where it cannot be opened."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import asyncssh

from ..errors import DeviceUnavailableError
from .ssh_config import HostSettings, KnownHosts, host_settings, listed_name, read_known_hosts
from .ssh_destination import Destination, parse_jump
from .text import clean

_KEEPALIVE_INTERVAL_S = 15
_KEEPALIVE_COUNT = 4
_MAX_JUMPS = 8


@dataclass
class _Client(asyncssh.SSHClient):
    """Remembers the host's key when it is not among the known ones, and closes the jump host's connection with its own."""

    jump: asyncssh.SSHClientConnection | None
    refused_key: list[asyncssh.SSHKey] = field(default_factory=list)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002 - asyncssh's
        self.refused_key.append(key)
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self.jump is not None:
            self.jump.close()


async def connect(destination: Destination, timeout_s: float) -> asyncssh.SSHClientConnection:
    """An authenticated connection whose host key is a known one.

    Raises:
        DeviceUnavailableError: with the cause and the command that mends it.
    """
    reached: list[str] = []
    try:
        async with asyncio.timeout(timeout_s):
            return await _connect(destination, reached, depth=0)
    except TimeoutError as problem:
        where = reached[-1] if reached else destination.alias
        raise DeviceUnavailableError(
            f"{where} did not answer within {timeout_s:g} s",
            why="the connection was not refused either: it is switched off, or a firewall drops what is sent to it",
            hint=f"see whether it answers: {destination.command('true')}",
        ) from problem


async def _connect(destination: Destination, reached: list[str], *, depth: int) -> asyncssh.SSHClientConnection:
    settings = host_settings(destination.alias, destination.user, destination.port)
    jump: asyncssh.SSHClientConnection | None = None
    if settings.jumps and settings.jumps != ("none",):
        if depth + len(settings.jumps) > _MAX_JUMPS:
            raise DeviceUnavailableError(
                f"{destination.alias} is behind too many jump hosts", why=f"over {_MAX_JUMPS}; does ProxyJump go in a circle?",
                hint="look at the ProxyJump lines of ~/.ssh/config",
            )  # fmt: skip
        for name in settings.jumps:
            jump = await _through(parse_jump(name), reached, jump, depth=depth + 1)
    return await _through(destination, reached, jump, depth=depth, settings=settings)


async def _through(
    destination: Destination, reached: list[str], jump: asyncssh.SSHClientConnection | None, *, depth: int,
    settings: HostSettings | None = None,
) -> asyncssh.SSHClientConnection:  # fmt: skip
    if settings is None:
        if jump is None:  # the first jump host may have jump hosts of its own
            return await _connect(destination, reached, depth=depth)
        settings = host_settings(destination.alias, destination.user, destination.port)
    reached.append(f"{settings.host}:{settings.port}")
    known = read_known_hosts(settings.known_hosts_files)
    client = _Client(jump)
    try:
        return await asyncssh.connect(
            destination.alias,
            destination.port or (),
            username=destination.user or (),
            tunnel=jump,
            client_factory=lambda: client,
            known_hosts=known.keys,
            server_host_key_algs="+*",  # kinds that are known first; a key of another kind is to be seen, and refused as changed
            client_keys=() if settings.identity_files is None else [str(path) for path in settings.identity_files],
            ignore_encrypted=True,
            keepalive_interval=_KEEPALIVE_INTERVAL_S,
            keepalive_count_max=_KEEPALIVE_COUNT,
            agent_forwarding=False,
            x11_forwarding=False,
        )
    except (asyncssh.Error, OSError, ValueError) as problem:
        if jump is not None:
            jump.close()
        raise _explain(problem, destination, settings, known, client) from problem


@contextlib.contextmanager
def closed_on_failure(connection: asyncssh.SSHClientConnection, destination: Destination) -> Iterator[None]:
    """Close ``connection`` where the block fails; a refused command becomes an error of edgekit's.

    Raises:
        DeviceUnavailableError: the device lets the user in but runs no command for it.
    """
    try:
        yield
    except asyncssh.Error as problem:
        connection.abort()
        raise DeviceUnavailableError(
            f"{destination.name} runs no command over SSH", why=clean(problem.reason, 300),
            hint=f"see what ssh says: {destination.command('true')}",
        ) from problem  # fmt: skip
    except BaseException:
        connection.abort()
        raise


# ---------------------------------------------------------------- causes and what mends them
def _explain(
    problem: Exception, destination: Destination, settings: HostSettings, known: KnownHosts, client: _Client
) -> DeviceUnavailableError:
    place = f"{settings.host}:{settings.port}"
    if isinstance(problem, asyncssh.HostKeyNotVerifiable):
        return _host_key(problem, destination, settings, known, client)
    if isinstance(problem, asyncssh.PermissionDenied):
        copy = destination.command(program="ssh-copy-id")
        return DeviceUnavailableError(
            f"{place} lets user {settings.user!r} in with none of this user's keys",
            why=clean(problem.reason, 300),
            hint=f"put your key there: {copy}; if your key has a passphrase, load it first: ssh-add",
        )
    if isinstance(problem, OSError) and f"[Errno {errno.ECONNREFUSED}]" in str(problem):  # also among several addresses of a name
        return DeviceUnavailableError(
            f"{place} refuses connections", why="the machine is up, but no SSH server listens there",
            hint=f"start it on the device (sudo systemctl enable --now ssh), or give the right port: {_with_port(destination)}",
        )  # fmt: skip
    if isinstance(problem, socket.gaierror):
        return DeviceUnavailableError(
            f"no machine called {settings.host!r} is known", why=problem.strerror or str(problem),
            hint=f"see what the name stands for: ssh -G {shlex.quote(destination.alias)}; or give its IP address",
        )  # fmt: skip
    return DeviceUnavailableError(
        f"no SSH connection to {place}", why=clean(str(problem) or type(problem).__name__, 300),
        hint=f"see what ssh says: {destination.command('true')}",
    )  # fmt: skip


def _with_port(destination: Destination) -> str:
    user = f"{destination.user}@" if destination.user else ""
    return f"ssh://{user}{destination.alias}:PORT"


def _host_key(
    problem: Exception, destination: Destination, settings: HostSettings, known: KnownHosts, client: _Client
) -> DeviceUnavailableError:
    name = listed_name(settings.known_as, settings.port)
    files = known.files_with(name)
    shown = client.refused_key[-1].get_fingerprint() if client.refused_key else "a certificate"
    look = destination.command("exit")
    if "revoked" in str(problem):
        return DeviceUnavailableError(
            f"the host key of {name} is revoked", why=f"{shown} is listed as revoked", hint="ask whoever looks after that device"
        )
    if not files:
        return DeviceUnavailableError(
            f"the host key of {name} is not known", why=f"it shows {shown}, which no list of known hosts has",
            hint=f"compare that with the device's own (ssh-keygen -lf on its key), then let ssh remember it: {look}",
        )  # fmt: skip
    forget = "; ".join(shlex.join(["ssh-keygen", "-f", str(path), "-R", name]) for path in files)
    return DeviceUnavailableError(
        f"the host key of {name} has changed",
        why=f"it shows {shown}, not what {', '.join(map(str, files))} lists: another machine may be answering in its place",
        hint=f"only if you know why (a new system on the board), forget the old key: {forget}; then: {look}",
    )
