"""Isolated environments for converters whose pins must not touch the user's own: made on first need, verified at every use.

cache/toolchains/NAME-<hash of its lock>/   a virtual environment; written aside and renamed, with ``toolchain.json`` in it
cache/toolchains/.locks/NAME-<hash>         one maker at a time, also across processes; shared by those who use it

A new lock is another folder, so an update never changes a toolchain under a run that uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import DependencyError, IntegrityError
from .integrity import read_json_file
from .progress import Progress, Silent
from .state import cache_dir, locked, new_folder, private_dir, writing
from .toolchain_install import install
from .toolchain_locks import Toolchain, get_toolchain, lock_sha256, toolchains
from .values import canonical

__all__ = [
    "OFFLINE",
    "Environment",
    "Status",
    "Toolchain",
    "ensure",
    "get_toolchain",
    "is_offline",
    "policy",
    "remove",
    "status",
    "toolchains",
]

OFFLINE = "EDGEKIT_OFFLINE"
_log = logging.getLogger(__name__)
_MARKER = "toolchain.json"
_LOCKS = ".locks"
State = Literal["installed", "not installed", "damaged", "no lock"]


@dataclass(frozen=True)
class Policy:
    """How long making a toolchain may take, and who is told how far it is."""

    timeout_s: float = 900.0
    progress: Progress = Silent()  # noqa: RUF009 - it has no state


@dataclass(frozen=True)
class Environment:
    """A toolchain that is there: its folder, and the Python that runs in it."""

    toolchain: Toolchain
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


@dataclass(frozen=True)
class Status:
    """One toolchain on this machine. ``path`` and ``lock_sha256``: None without a lock for it; ``size_bytes``: where nothing is."""

    toolchain: Toolchain
    state: State
    path: Path | None
    lock_sha256: str | None
    size_bytes: int | None


_policy: ContextVar[Policy] = ContextVar("edgekit toolchain policy", default=Policy())  # noqa: B039 - frozen


@contextlib.contextmanager
def policy(*, timeout_s: float, progress: Progress) -> Iterator[None]:
    """Holds for every toolchain that this thread wants while the block runs."""
    token = _policy.set(Policy(timeout_s, progress))
    try:
        yield
    finally:
        _policy.reset(token)


def is_offline() -> bool:
    """Whether the user said that nothing is to be fetched: ``--offline``, or the variable EDGEKIT_OFFLINE."""
    return os.environ.get(OFFLINE, "") not in ("", "0")


@contextlib.contextmanager
def ensure(toolchain: Toolchain) -> Iterator[Environment]:
    """The toolchain, made if it is not there or not whole; nobody removes it while the block runs.

    Raises:
        DependencyError: there is none for this Python and platform; it is not there and making it is refused (``--offline``); or it
            cannot be made: says why.
        OutputError: the cache cannot be written.
    """
    place, lock = _place(toolchain)
    while True:
        with locked(lock, shared=True):
            if _is_whole(place, toolchain):
                yield Environment(toolchain, place)
                return
        _make(toolchain, place, lock)


def remove(toolchain: Toolchain) -> int:
    """Remove the toolchain, and what older locks and interrupted runs left of it; returns how many bytes that freed.

    Waits for a run that is using it.
    """
    root = _root()
    freed = 0
    for place in sorted(root.iterdir()):
        if not re.fullmatch(rf"\.?{re.escape(toolchain.name)}-[0-9a-f]{{16}}(\..+\.tmp)?", place.name):
            continue
        with locked(_lock(root, place.name.lstrip(".").split(".")[0])), writing(place):
            freed += _listing(place)[1] if place.exists() else 0
            shutil.rmtree(place)
    return freed


def status(toolchain: Toolchain) -> Status:
    """Whether the toolchain is there and whole; nothing is made."""
    if toolchain.lock is None:
        return Status(toolchain, "no lock", None, None, None)
    place, _ = _place(toolchain)
    if not place.exists():
        return Status(toolchain, "not installed", place, lock_sha256(toolchain), None)
    state: State = "installed" if _is_whole(place, toolchain) else "damaged"
    return Status(toolchain, state, place, lock_sha256(toolchain), _listing(place)[1])


def _make(toolchain: Toolchain, place: Path, lock: Path) -> None:
    wanted = _policy.get()
    if is_offline():
        raise DependencyError(
            f"the toolchain {toolchain.name} is not installed",
            why=f"it {toolchain.about}; making it needs the package index, and this run is to stay offline",
            hint=f"edgekit toolchain install {toolchain.name}, once, without --offline and {OFFLINE}",
        )
    with locked(lock):
        if _is_whole(place, toolchain):
            return  # another process made it meanwhile
        with writing(place):
            for left in (place, *place.parent.glob(f".{place.name}.*.tmp")):  # damaged, or of a killed run
                if os.path.lexists(left):
                    _log.warning("toolchain %s: %s is not whole and is made anew", toolchain.name, left.name)
                    shutil.rmtree(left)
        with new_folder(place) as folder:
            install(toolchain, folder, timeout_s=wanted.timeout_s, progress=wanted.progress)
            digest, size_bytes = _listing(folder)
            marker = {"schema": 1, "lock": lock_sha256(toolchain), "listing": digest, "size_bytes": size_bytes}
            (folder / _MARKER).write_bytes(canonical(marker))


def _is_whole(place: Path, toolchain: Toolchain) -> bool:
    """Every file is there as it was made, by name, size and time, and so is the Python that it was made with."""
    if not place.is_dir() or not (place / "bin" / "python").exists():
        return False
    try:
        marker, _ = read_json_file(place / _MARKER, max_bytes=4096)
    except IntegrityError:
        return False
    return isinstance(marker, dict) and marker.get("lock") == lock_sha256(toolchain) and marker.get("listing") == _listing(place)[0]


def _listing(folder: Path) -> tuple[str, int]:
    """A hash over the name, size and time of every file but the marker, and their size in all. Content is not read: it is much."""
    lines = []
    total_bytes = 0
    pending = [""]
    while pending:
        prefix = pending.pop()
        for entry in os.scandir(folder / prefix):
            name = prefix + entry.name
            there = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(there.st_mode):
                pending.append(name + "/")
            elif stat.S_ISLNK(there.st_mode):
                lines.append(f"{name} -> {(folder / name).readlink()}")
            elif name != _MARKER:
                lines.append(f"{name} {there.st_size} {there.st_mtime_ns}")
                total_bytes += there.st_size
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest(), total_bytes


def _root() -> Path:
    """``EDGEKIT_TOOLCHAINS`` names another folder: for machines that clear their caches, or share nothing else between runs."""
    elsewhere = os.environ.get("EDGEKIT_TOOLCHAINS")
    return private_dir(Path(elsewhere) if elsewhere else cache_dir() / "toolchains").resolve()


def _lock(root: Path, name: str) -> Path:
    return private_dir(root / _LOCKS) / name


def _place(toolchain: Toolchain) -> tuple[Path, Path]:
    """The toolchain's folder and its lock file."""
    root = _root()
    name = f"{toolchain.name}-{lock_sha256(toolchain)[:16]}"
    return root / name, _lock(root, name)
