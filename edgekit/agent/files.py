"""Files on the device: everything lies under one folder of the user's (0700), each session's own in one that goes with it.

The blobs that sessions share are in :mod:`agent.blobs`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from typing import Dict, Iterator, Mapping, Optional, Protocol

from .errors import AgentError

_CHUNK_BYTES = 1 << 20
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def guest_home() -> str:
    """``EDGEKIT_GUEST_HOME``, otherwise ``~/.cache/edgekit``."""
    return os.environ.get("EDGEKIT_GUEST_HOME") or os.path.join(os.path.expanduser("~"), ".cache", "edgekit")


def private_dir(path: str) -> str:
    """``path`` as a folder of this user's that nobody else may enter.

    Raises:
        AgentError: ``integrity`` when it is a symbolic link, no folder, or somebody else's.
    """
    with disk_errors(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        there = os.lstat(path)
        if not stat.S_ISDIR(there.st_mode):
            raise AgentError("integrity", "%s is not a folder" % path)
        if there.st_uid != os.getuid():
            raise AgentError("integrity", "%s belongs to another user" % path)
        if stat.S_IMODE(there.st_mode) != 0o700:
            os.chmod(path, 0o700)
    return path


@contextlib.contextmanager
def disk_errors(what: str, *, place: str = "", needed_bytes: int = 0) -> Iterator[None]:
    """Maps a refusal of the operating system to an AgentError of kind ``disk`` that names ``what``.

    Args:
        place: the folder that is written to; where it is full, the message says how much is needed and how much is available.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno in FULL_ERRORS and place:
            raise no_space(what, needed_bytes, place) from problem
        raise AgentError("disk", "%s: %s" % (what, problem.strerror or problem)) from problem


def no_space(what: str, needed_bytes: int, place: str) -> AgentError:
    """The error of a disk that is full, with the figures."""
    return AgentError(
        "disk",
        "%s: no space left, %d bytes are needed and %d are available in %s" % (what, needed_bytes, free_bytes(place), place),
    )


def free_bytes(place: str) -> int:
    """Free for this user where ``place`` lies."""
    there = os.statvfs(place)
    return there.f_bavail * there.f_frsize


def check_sha256(text: object) -> str:
    """``text`` if it is a sha256 in lower-case hexadecimal; it becomes a file name.

    Raises:
        AgentError: ``protocol`` when it is not.
    """
    if not isinstance(text, str) or not _SHA256.match(text):
        raise AgentError("protocol", "not a sha256: %.80r" % (text,))
    return text


def check_relpath(text: object) -> str:
    """``text`` if it is a plain relative path that stays inside its folder.

    Raises:
        AgentError: ``integrity`` for absolute paths, ``..``, empty parts, backslashes and NUL.
    """
    if not isinstance(text, str) or not 0 < len(text) <= 1024 or "\0" in text or "\\" in text:
        raise AgentError("integrity", "not a usable file name: %.80r" % (text,))
    if text.startswith("/") or any(part in ("", ".", "..") for part in text.split("/")):
        raise AgentError("integrity", "a path outside its folder: %.200r" % text)
    return text


class Verifying(Protocol):
    """Where :meth:`SessionFolder.lay_out` takes blobs from."""

    def verified(self, sha256: str) -> str:
        """See :meth:`agent.blobs.BlobStore.verified`."""


class SessionFolder:
    """One session's private folder, ``<home>/sessions/<name>``. Its guardian holds a lock on it; folders without one are
    left-overs.

    A guardian that was killed cannot tidy up: the next one that starts removes what it left.
    """

    def __init__(self, home: str, name: str) -> None:
        sessions = private_dir(os.path.join(private_dir(home), "sessions"))
        self.path = os.path.join(sessions, name)
        all_sessions = os.open(sessions, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(all_sessions, fcntl.LOCK_EX)  # nobody sweeps between the folder's creation and its lock
            _sweep(sessions)
            with disk_errors(self.path):
                os.mkdir(self.path, 0o700)
            self._lock = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(all_sessions)

    def lay_out(self, name: str, files: Mapping[str, str], blobs: Verifying) -> Dict[str, str]:
        """Put blobs under their names into the sub-folder ``name``, afresh.

        Args:
            files: ``{relative path: sha256}``.

        Returns:
            ``{relative path: absolute path}``, in the order given.

        Raises:
            AgentError: ``integrity`` for a path that leaves the folder or a blob that is not what it is called; ``disk``.
        """
        folder = os.path.join(self.path, name)
        shutil.rmtree(folder, ignore_errors=True)
        placed: Dict[str, str] = {}
        for relpath, sha256 in files.items():
            target = os.path.join(folder, *check_relpath(relpath).split("/"))
            blob = blobs.verified(check_sha256(sha256))
            with disk_errors(relpath, place=self.path, needed_bytes=os.path.getsize(blob)):
                os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
                link_or_copy(blob, target)
            placed[relpath] = target
        return placed

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _sweep(sessions: str) -> None:
    for name in os.listdir(sessions):
        path = os.path.join(sessions, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # its guardian lives
        finally:
            os.close(fd)


def open_regular(path: str) -> int:
    """A read-only descriptor of a regular file that is no symbolic link."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise AgentError("integrity", "%s is a symbolic link" % path) from problem
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise AgentError("integrity", "%s is not a regular file" % path)
    return fd


def link_or_copy(source: str, target: str) -> None:
    """``target`` becomes a second name of ``source``, or a copy where that cannot be (another file system, another owner)."""
    source_fd = open_regular(source)
    try:
        try:
            os.link(source, target, follow_symlinks=False)
        except (OSError, NotImplementedError) as problem:
            if isinstance(problem, FileExistsError):
                raise
        else:
            return
        copy_to(source_fd, target)
    finally:
        os.close(source_fd)


def copy_to(source_fd: int, target: str) -> None:
    """A new file ``target`` (0600) with the content of ``source_fd``."""
    with open(source_fd, "rb", closefd=False) as reader:
        target_fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(target_fd, "wb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK_BYTES)


def hash_of(fd: int) -> str:
    """The sha256 of a file's content."""
    digest = hashlib.sha256()
    offset = 0
    while True:
        chunk: Optional[bytes] = os.pread(fd, _CHUNK_BYTES, offset)
        if not chunk:
            return digest.hexdigest()
        digest.update(chunk)
        offset += len(chunk)
