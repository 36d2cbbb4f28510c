"""The lease: one user of a device at a time, by an advisory lock that the kernel drops when its holder dies.

Which folders a user may write to differs from system to system and from user to user (``/run/lock`` is root's alone on many), so
the lock is taken in every one of them in which this user can open the file: two users then always meet in one.

The files lie in folders that everyone may write to, so nothing about them is taken on trust: no symbolic link is followed, a file
is created exclusively or opened without ``O_CREAT`` (the kernel's ``protected_regular`` denies that flag on other people's files
there), and after locking the path must still name the locked file.
"""

from __future__ import annotations

import errno
import fcntl
import getpass
import json
import os
import stat
import time
from typing import Dict, List, Optional

from .errors import AgentError

DIRECTORIES = ("/run/lock", "/tmp")  # noqa: S108 - the contract names them; the file is opened as the module's docstring says
FILE_NAME = "edgekit.lease"
_MAX_HOLDER_BYTES = 4096
_NAME_WAIT_S = 0.3
_NAME_POLL_S = 0.02
_CANNOT_OPEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT)


def lease_directories() -> List[str]:
    """Where the lease files may lie, in the order of locking. ``EDGEKIT_LEASE_DIR`` replaces them: for tests, and containers."""
    override = os.environ.get("EDGEKIT_LEASE_DIR")
    return [override] if override else list(DIRECTORIES)


class Lease:
    """Holds the device while ``held``. Not shared between threads."""

    def __init__(self, directories: Optional[List[str]] = None) -> None:
        self._directories = lease_directories() if directories is None else directories
        self._locked: Dict[str, int] = {}  # {path: file descriptor}

    @property
    def held(self) -> bool:
        return bool(self._locked)

    def acquire(self, purpose: str) -> None:
        """Take the lease now, or say who has it.

        Raises:
            AgentError: ``busy`` with the holder and since when; ``disk`` when no lease file can be made; ``integrity`` when
                something else lies in its place.
        """
        if self.held:
            return
        locked: Dict[str, int] = {}
        try:
            self._lock_all(locked)
        except BaseException:
            for fd in locked.values():
                os.close(fd)
            raise
        self._locked = locked
        for path in locked:
            _write_holder(path, purpose)

    def release(self) -> None:
        while self._locked:
            path, fd = self._locked.popitem()
            _write_holder(path, None)
            os.close(fd)

    def _lock_all(self, locked: Dict[str, int]) -> None:
        """Fills ``locked``. Everyone goes in the same order, so of two who want the lease at once one gets it."""
        refused: List[str] = []
        for directory in self._directories:
            path = os.path.join(directory, FILE_NAME)
            if any(_still_names(path, fd) for fd in locked.values()):
                continue  # two names of one folder
            try:
                locked[path] = _lock(path)
            except OSError as problem:
                if problem.errno not in _CANNOT_OPEN:
                    raise
                refused.append("%s: %s" % (path, problem.strerror))
        if not locked:
            raise AgentError("disk", "no lease file can be made (%s)" % ("; ".join(refused) or "no folder to make it in"))


def _lock(path: str) -> int:
    """A descriptor of the file that ``path`` names, locked."""
    while True:
        fd = _open_lease_file(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            holder = _read_holder(fd)
            os.close(fd)
            if problem.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise AgentError("busy", holder) from problem
        if _still_names(path, fd):
            return fd
        os.close(fd)  # replaced between open and lock: try the new one


def _open_lease_file(path: str) -> int:
    flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO in its place must not block the open
    try:
        fd = os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        os.fchmod(fd, 0o666)  # whatever the umask: other users must be able to take it later
    except FileExistsError:
        try:
            fd = os.open(path, flags | os.O_RDONLY)
        except FileNotFoundError:  # removed meanwhile
            return _open_lease_file(path)
        except OSError as problem:
            if problem.errno == errno.ELOOP:
                raise AgentError("integrity", "%s is a symbolic link" % path) from problem
            raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise AgentError("integrity", "%s is not a regular file" % path)
    return fd


def _still_names(path: str, fd: int) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _write_holder(path: str, purpose: Optional[str]) -> None:
    """Note who holds it, for the message that others get. The lock alone decides, so failing to write is no failure."""
    text = b""
    if purpose is not None:
        since = time.strftime("%Y-%m-%d %H:%M:%S %z")
        text = json.dumps({"user": _user(), "pid": os.getpid(), "since": since, "purpose": purpose[:200]}).encode()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.ftruncate(fd, 0)
        os.write(fd, text)
    except OSError:
        return
    finally:
        os.close(fd)


def _read_holder(fd: int) -> str:
    """Who holds the locked file. One who has only just got it may be about to write the name: an empty file is read again."""
    text = os.pread(fd, _MAX_HOLDER_BYTES, 0)
    give_up = time.monotonic() + _NAME_WAIT_S
    while not text and time.monotonic() < give_up:
        time.sleep(_NAME_POLL_S)
        text = os.pread(fd, _MAX_HOLDER_BYTES, 0)
    try:
        holder = json.loads(text.decode("utf-8", "replace"))
        return "held by %s (process %d) since %s for %s" % (
            str(holder["user"])[:64], int(holder["pid"]), str(holder["since"])[:40], str(holder["purpose"])[:200],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, RecursionError):
        return "held by somebody who left no name"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user id: a container
        return "user %d" % os.getuid()
