"""The restore journal: what this session has changed on the device and must put back, on the disk before the change is made.

One file a session under ``<guest home>/journal`` (0700), locked by its guardian for as long as that lives. A guardian that is
killed cannot put anything back; the next one that starts finds a journal nobody holds, and does it. After a restart of the device
the kernel has its defaults again, so entries of an earlier start are dropped, but for settings that outlast one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from .files import disk_errors, private_dir
from .memory import read_text

_MAX_BYTES = 1 << 20
_SUFFIX = ".journal"
Read = Callable[[str], str]
Write = Callable[[str, str], str]  # path, value -> why it failed; empty when it did not


ANY_START = "*"  # the setting outlasts a restart of the device
UNREAD = "?"  # what a setting is when it cannot be asked: it counts as ours still, so the way back is tried and its failure told


class Change(NamedTuple):
    """One file of the kernel's, or a setting by its name: what stood in it, and what this session wrote."""

    path: str
    before: str
    after: str
    start: str  # of the device: the kernel's random boot_id; or ANY_START

    def undo(self, read: Read, write: Write) -> str:
        """Put ``before`` back, unless somebody else has changed it since. Returns why it could not; empty when it is settled."""
        if self.start not in (ANY_START, boot_id()) or read(self.path) not in (self.after, UNREAD):
            return ""
        return write(self.path, self.before)


class Journal:
    """The changes of this session. The file is there from the first change until all are put back."""

    def __init__(self, home: str, name: str) -> None:
        self._home = home
        self._name = name
        self._fd: Optional[int] = None
        self._path = ""
        self._changes: List[Change] = []

    def note(self, path: str, before: str, after: str, *, outlasts_restart: bool = False) -> None:
        """Record a change that is about to be made; on return it is on the disk.

        Raises:
            AgentError: ``disk`` or ``integrity``; then the change must not be made.
        """
        change = Change(path, before, after, ANY_START if outlasts_restart else boot_id())
        with disk_errors("the restore journal"):
            if self._fd is None:
                self._create()
            assert self._fd is not None
            os.write(self._fd, json.dumps(change._asdict()).encode() + b"\n")
            os.fsync(self._fd)
        self._changes.append(change)

    def undo(self, read: Read, write: Write) -> List[str]:
        """Put everything back, the latest change first. Returns what could not be: the journal then stays for the next guardian."""
        problems = []
        for change in reversed(self._changes):
            problem = change.undo(read, write)
            if problem:
                problems.append(problem)
        if self._fd is not None and not problems:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._changes = []
        return problems

    def _create(self) -> None:
        folder = _folder(self._home)
        self._path = os.path.join(folder, self._name + _SUFFIX)
        with _alone(folder) as folder_fd:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fsync(folder_fd)
        self._fd = fd


def has_leftovers(home: str) -> bool:
    """Whether there is any journal; a cheap look before the lease is taken for :func:`repair`."""
    try:
        return any(name.endswith(_SUFFIX) for name in os.listdir(os.path.join(home, "journal")))
    except OSError:
        return False


def repair(home: str, is_ours: Callable[[str], bool], read: Read, write: Write) -> List[str]:
    """Put back what killed guardians have left changed. Call it with the lease held: nobody else's change is then disturbed.

    Args:
        is_ours: whether a path is one that the agent may have changed; another is never written to.

    Returns:
        A line for each change that was found: put back, or why not.
    """
    said: List[str] = []
    folder = _folder(home)
    with _alone(folder):
        for name in sorted(os.listdir(folder)):
            if name.endswith(_SUFFIX):
                said += _repair_one(os.path.join(folder, name), is_ours, read, write)
    return said


def _repair_one(path: str, is_ours: Callable[[str], bool], read: Read, write: Write) -> List[str]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as refused:
        return ["%s: %s" % (path, refused.strerror)]
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return []  # its guardian lives
        said, settled = [], True
        for change in reversed(_changes(os.read(fd, _MAX_BYTES))):
            if not is_ours(change.path):
                continue
            was = read(change.path)
            problem = change.undo(read, write)
            if problem:
                settled = False
                said.append("%s could not be put back to %s: %s" % (change.path, change.before, problem))
            elif was != read(change.path):
                said.append("%s was put back from %s to %s" % (change.path, was, change.before))
        if settled:
            os.unlink(path)
        return said
    finally:
        os.close(fd)


def _changes(text: bytes) -> List[Change]:
    """The whole lines; one that is cut off was never followed by its change."""
    found = []
    for line in text.split(b"\n"):
        try:
            fields: Dict[str, Any] = json.loads(line.decode("utf-8"))
            change = Change(**fields)
        except (ValueError, TypeError, RecursionError):
            continue
        if all(isinstance(value, str) for value in change):
            found.append(change)
    return found


def boot_id() -> str:
    """Differs after each start of the kernel; empty where it does not say."""
    return read_text("/proc/sys/kernel/random/boot_id", 64).strip()


def _folder(home: str) -> str:
    return private_dir(os.path.join(private_dir(home), "journal"))


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[int]:
    """Nobody repairs between a journal's creation and its lock."""
    fd = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)
