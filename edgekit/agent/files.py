"""Files on the device: a store of blobs named by their sha256, and one private folder a session that goes when the session ends.

Everything lies under one folder of the user's (0700). A blob is written aside, hashed and renamed, so that what has its name has
its content; it is hashed once more before a session uses it, because a disk or another program may have changed it since.
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
import time
from typing import Dict, Iterator, List, Mapping, Optional, Set, Tuple, Union

from .errors import AgentError

QUOTA_BYTES = 4 << 30
_CHUNK_BYTES = 1 << 20
_PART_MAX_AGE_S = 24 * 3600
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
def disk_errors(what: str) -> Iterator[None]:
    """Maps a refusal of the operating system to an AgentError of kind ``disk`` that names ``what``."""
    try:
        yield
    except OSError as problem:
        raise AgentError("disk", "%s: %s" % (what, problem.strerror or problem)) from problem


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


class BlobStore:
    """Blobs under ``<home>/blobs``. Least recently used ones go when the sum of sizes is above ``quota_bytes``.

    What this session used is never dropped, so one session may exceed the quota for its duration.
    """

    def __init__(self, home: str, quota_bytes: int = QUOTA_BYTES) -> None:
        self._folder = private_dir(os.path.join(private_dir(home), "blobs"))
        self._quota_bytes = quota_bytes
        self._parts: Dict[str, Tuple[int, str]] = {}
        self._used: Set[str] = set()
        self._verified: Dict[str, Tuple[int, int, int, int]] = {}

    def path(self, sha256: str) -> str:
        return os.path.join(self._folder, check_sha256(sha256))

    def need(self, sizes: Mapping[str, int]) -> Dict[str, int]:
        """Which of ``{sha256: size}`` are missing, with how many bytes of each are there already (to resume at)."""
        missing: Dict[str, int] = {}
        for sha256, size in sizes.items():
            self._used.add(check_sha256(sha256))
            if os.path.lexists(self.path(sha256)):
                with contextlib.suppress(FileNotFoundError):
                    there = os.lstat(self.path(sha256))
                    os.utime(self.path(sha256), ns=(time.time_ns(), there.st_mtime_ns), follow_symlinks=False)
                continue
            fd, _ = self._claim_part(sha256)
            have = os.fstat(fd).st_size
            if have > size:
                os.ftruncate(fd, 0)
                have = 0
            missing[sha256] = have
        self._evict()
        return missing

    def put(self, sha256: str, offset: int, size: int, data: Union[bytes, bytearray]) -> bool:
        """Append ``data`` at ``offset`` of a missing blob; True when it is complete and visible.

        Raises:
            AgentError: ``integrity`` when all ``size`` bytes are there and do not hash to the name (nothing is kept of them);
                ``protocol`` for an offset that is not the end of what is there; ``disk``.
        """
        fd, part = self._claim_part(check_sha256(sha256))
        with disk_errors("storing a blob"):
            if offset != os.fstat(fd).st_size or offset + len(data) > size:
                raise AgentError("protocol", "a chunk at %d does not continue a blob of %d bytes" % (offset, os.fstat(fd).st_size))
            view = memoryview(data)
            while view:
                view = view[os.pwrite(fd, view, offset) :]
                offset = os.fstat(fd).st_size
            if offset < size:
                return False
            os.fsync(fd)
            self._publish(sha256, fd, part)
        return True

    def put_path(self, sha256: str, source: str) -> None:
        """Take a blob from a file of this machine, as a copy: the file stays its owner's alone.

        Raises:
            AgentError: ``integrity`` when the file is a symbolic link or does not hash to ``sha256``; ``disk``.
        """
        self._drop_part(check_sha256(sha256))
        with disk_errors(source):
            fd, part = self._claim_part(sha256)
            os.close(fd)
            del self._parts[sha256]
            os.unlink(part)
            source_fd = _open_regular(source)
            try:
                _copy(source_fd, part)
            finally:
                os.close(source_fd)
            fd = _open_regular(part)
            try:
                self._parts[sha256] = (fd, part)
                self._publish(sha256, fd, part)
            finally:
                self._drop_part(sha256)

    def verified(self, sha256: str) -> str:
        """The path of a blob whose content has just been compared with its name (once a session while it does not change).

        Raises:
            AgentError: ``integrity`` when it is missing, a symbolic link, or has changed; a changed one is removed.
        """
        path = self.path(sha256)
        try:
            fd = _open_regular(path)
        except FileNotFoundError as problem:
            raise AgentError("integrity", "blob %s is not here; push it first" % sha256) from problem
        try:
            there = os.fstat(fd)
            identity = (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns)
            if self._verified.get(sha256) != identity:
                if _hash(fd) != sha256:
                    os.unlink(path)
                    raise AgentError("integrity", "blob %s had changed on the device's disk and was removed" % sha256)
                self._verified[sha256] = identity
        finally:
            os.close(fd)
        self._used.add(sha256)
        return path

    def close(self) -> None:
        """Let go of unfinished blobs; what arrived of them stays for the next session to resume."""
        for fd, part in self._parts.values():
            if os.fstat(fd).st_size == 0:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part)
            os.close(fd)
        self._parts.clear()

    def _claim_part(self, sha256: str) -> Tuple[int, str]:
        """The locked file that this session writes a blob into; a private one when another session is writing the same blob."""
        if sha256 not in self._parts:
            with disk_errors("storing a blob"):
                for name in (sha256 + ".part", "%s.%d.part" % (sha256, os.getpid())):
                    part = os.path.join(self._folder, name)
                    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                    try:
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except OSError:
                        os.close(fd)
                        continue
                    self._parts[sha256] = (fd, part)
                    break
                else:
                    raise AgentError("busy", "another session is storing blob %s" % sha256)
        return self._parts[sha256]

    def _drop_part(self, sha256: str) -> None:
        if sha256 in self._parts:
            fd, part = self._parts.pop(sha256)
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)

    def _publish(self, sha256: str, fd: int, part: str) -> None:
        found = _hash(fd)
        if found != sha256:
            self._drop_part(sha256)
            raise AgentError("integrity", "what arrived as blob %s hashes to %s; it was not kept" % (sha256, found))
        os.rename(part, self.path(sha256))
        self._used.add(sha256)
        self._drop_part(sha256)

    def _evict(self) -> None:
        """Drop abandoned parts, then the least recently used blobs until the sum is within the quota."""
        blobs: List[Tuple[int, int, str]] = []
        now = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                there = entry.stat(follow_symlinks=False)
                if entry.name.endswith(".part"):
                    if now - there.st_mtime > _PART_MAX_AGE_S and all(entry.path != part for _, part in self._parts.values()):
                        os.unlink(entry.path)
                else:
                    blobs.append((there.st_atime_ns, there.st_size, entry.name))
        total = sum(size for _, size, _ in blobs)
        for _, size, name in sorted(blobs):
            if total <= self._quota_bytes:
                return
            if name not in self._used:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._folder, name))
                total -= size


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

    def lay_out(self, name: str, files: Mapping[str, str], blobs: BlobStore) -> Dict[str, str]:
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
            with disk_errors(relpath):
                os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
                _link_or_copy(blob, target)
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


def _open_regular(path: str) -> int:
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


def _link_or_copy(source: str, target: str) -> None:
    """``target`` becomes a second name of ``source``, or a copy where that cannot be (another file system, another owner)."""
    source_fd = _open_regular(source)
    try:
        try:
            os.link(source, target, follow_symlinks=False)
        except (OSError, NotImplementedError) as problem:
            if isinstance(problem, FileExistsError):
                raise
        else:
            return
        _copy(source_fd, target)
    finally:
        os.close(source_fd)


def _copy(source_fd: int, target: str) -> None:
    with open(source_fd, "rb", closefd=False) as reader:
        target_fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(target_fd, "wb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK_BYTES)


def _hash(fd: int) -> str:
    digest = hashlib.sha256()
    offset = 0
    while True:
        chunk: Optional[bytes] = os.pread(fd, _CHUNK_BYTES, offset)
        if not chunk:
            return digest.hexdigest()
        digest.update(chunk)
        offset += len(chunk)
