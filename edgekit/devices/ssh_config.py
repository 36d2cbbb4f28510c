"""What the user's own SSH files say of a host: ``~/.ssh/config`` and the lists of known host keys. Nothing is written."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from asyncssh.config import ConfigParseError, SSHClientConfig

from ..errors import DeviceUnavailableError

_GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
DEFAULT_PORT = 22


@dataclass(frozen=True)
class HostSettings:
    """How to reach one host.

    Attributes:
        alias: the name that the user gave; sections of ``~/.ssh/config`` are found by it.
        known_as: the name under which its key is listed: ``HostKeyAlias``, else the host name.
        identity_files: private keys to offer; ``None`` means the usual ones.
        jumps: hosts to go through, ``[user@]host[:port]`` each, the first one first.
    """

    alias: str
    host: str
    port: int
    user: str
    known_as: str
    known_hosts_files: tuple[Path, ...]
    identity_files: tuple[Path, ...] | None
    jumps: tuple[str, ...]


def host_settings(alias: str, user: str | None, port: int | None) -> HostSettings:
    """``~/.ssh/config`` for ``alias``; ``user`` and ``port``, where given, are stronger than the file.

    Raises:
        DeviceUnavailableError: the file cannot be read or understood.
    """
    path = Path("~/.ssh/config").expanduser()
    local_user = getpass.getuser()
    try:
        config = SSHClientConfig.load(
            None, [path] if path.is_file() else [], False, False, False, local_user, user or (), alias, port or ()
        )  # fmt: skip
    except (ConfigParseError, OSError, UnicodeDecodeError) as problem:
        raise DeviceUnavailableError(
            f"{path} cannot be used to reach {alias}",
            why=str(problem),
            hint=f"mend that line; what ssh makes of it: ssh -G {alias}",
        ) from problem
    host = str(config.get("Hostname", alias))
    jumps = config.get("ProxyJump")
    return HostSettings(
        alias=alias,
        host=host,
        port=int(str(config.get("Port", DEFAULT_PORT))),
        user=str(config.get("User", local_user)),
        known_as=str(config.get("HostKeyAlias") or host),
        known_hosts_files=(
            *_paths(config.get("UserKnownHostsFile") or _USER_KNOWN_HOSTS),
            *_paths(config.get("GlobalKnownHostsFile") or _GLOBAL_KNOWN_HOSTS),
        ),
        identity_files=_identities(config.get("IdentityFile")),
        jumps=tuple(jump.strip() for jump in str(jumps).split(",")) if jumps else (),
    )


def _paths(names: object) -> tuple[Path, ...]:
    assert isinstance(names, Sequence)
    return tuple(Path(str(name)).expanduser() for name in names)


def _identities(names: object) -> tuple[Path, ...] | None:
    """Those that exist: ssh passes over the others as well."""
    return None if names is None else tuple(path for path in _paths(names) if path.is_file())


@dataclass(frozen=True)
class KnownHosts:
    """The known host keys of every file, for asyncssh, and which of the files list a given host."""

    keys: asyncssh.SSHKnownHosts
    files: tuple[tuple[Path, asyncssh.SSHKnownHosts], ...]

    def files_with(self, name: str) -> list[Path]:
        """The files that list a key for ``name``, which is as they write it (:func:`listed_name`)."""
        return [path for path, keys in self.files if any(keys.match(name, "", None)[:2])]


def read_known_hosts(paths: Sequence[Path]) -> KnownHosts:
    """Missing files and lines that are not understood are passed over, as ssh does: what is not known is refused."""
    everything = asyncssh.SSHKnownHosts()
    files = []
    for path in paths:
        keys = asyncssh.SSHKnownHosts()
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                keys.load(line)
                everything.load(line)
            except ValueError:
                continue
        files.append((path, keys))
    return KnownHosts(everything, tuple(files))


def listed_name(host: str, port: int) -> str:
    """``host`` as lists of known hosts write it."""
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"
