"""The store of blobs, files named by their sha256, that all sessions of a user on a device share.

A blob is written aside, hashed and renamed, so that what has its name has its content; it is hashed once more before a session uses
it, because a disk or another program may have changed it since. What is in use is marked in the session's folder, which goes with
the session, and is never dropped to make room.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from typing import Dict, Iterator, List, Mapping, Optional, Set, Tuple, Union

from .errors import AgentError
from .files import FULL_ERRORS, check_sha256, copy_to, disk_errors, free_bytes, hash_of, no_space, open_regular, private_dir

QUOTA_BYTES = 2 << 30
QUOTA_SHARE = 0.2  # of the disk, where that is less
_PART_MAX_AGE_S = 24 * 3600


class BlobStore:
    """Blobs under ``<home>/blobs``. Least recently used ones go when the sum of sizes would be above ``quota_bytes``.

    What this session or another that runs has used is never dropped, so the quota may be exceeded for their duration.

    Args:
        session: this session's folder, ``<home>/sessions/<name>``, where what is in use is marked for the others; without one
            nothing is.
        quota_bytes: 2 GiB or a fifth of the disk, whichever is less, unless said.
    """

    def __init__(self, home: str, session: Optional[str] = None, *, quota_bytes: Optional[int] = None) -> None:
        self._folder = private_dir(os.path.join(private_dir(home), "blobs"))
        self._sessions = os.path.join(home, "sessions")
        self._marks = None if session is None else private_dir(os.path.join(session, "uses"))
        self._quota_bytes = default_quota_bytes(home) if quota_bytes is None else quota_bytes
        self._parts: Dict[str, Tuple[int, str]] = {}
        self._used: Set[str] = set()
        self._verified: Dict[str, Tuple[int, int, int, int]] = {}

    def path(self, sha256: str) -> str:
        return os.path.join(self._folder, check_sha256(sha256))

    def need(self, sizes: Mapping[str, int]) -> Dict[str, int]:
        """Which of ``{sha256: size}`` are missing, with how many bytes of each are there already (to resume at).

        Raises:
            AgentError: ``disk`` with the figures when they do not fit, however much is dropped; nothing of them is kept then.
        """
        missing: Dict[str, int] = {}
        with self._alone():
            for sha256, size in sizes.items():
                self._use(sha256)
                if os.path.lexists(self.path(sha256)):
                    there = os.lstat(self.path(sha256))
                    os.utime(self.path(sha256), ns=(time.time_ns(), there.st_mtime_ns), follow_symlinks=False)
                    continue
                fd, _ = self._claim_part(sha256)
                have = os.fstat(fd).st_size
                if have > size:
                    os.ftruncate(fd, 0)
                    have = 0
                missing[sha256] = have
            self._make_room(sum(sizes[sha256] - have for sha256, have in missing.items()), missing)
        return missing

    def put(self, sha256: str, offset: int, size: int, data: Union[bytes, bytearray]) -> bool:
        """Append ``data`` at ``offset`` of a missing blob; True when it is complete and visible.

        Raises:
            AgentError: ``integrity`` when all ``size`` bytes are there and do not hash to the name (nothing is kept of them);
                ``protocol`` for an offset that is not the end of what is there; ``disk``, and where that is full nothing is kept.
        """
        fd, part = self._claim_part(check_sha256(sha256))
        if offset != os.fstat(fd).st_size or offset + len(data) > size:
            raise AgentError("protocol", "a chunk at %d does not continue a blob of %d bytes" % (offset, os.fstat(fd).st_size))
        try:
            with disk_errors("storing a blob"):
                view = memoryview(data)
                while view:
                    view = view[os.pwrite(fd, view, offset) :]
                    offset = os.fstat(fd).st_size
                if offset < size:
                    return False
                os.fsync(fd)
                self._publish(sha256, fd, part)
        except AgentError as problem:
            if isinstance(problem.__cause__, OSError):
                self._drop_part(sha256)
                if problem.__cause__.errno in FULL_ERRORS:
                    raise no_space("storing a blob", size, self._folder) from problem
            raise
        return True

    def put_path(self, sha256: str, source: str) -> None:
        """Take a blob from a file of this machine, as a copy: the file stays its owner's alone.

        Raises:
            AgentError: ``integrity`` when the file is a symbolic link or does not hash to ``sha256``; ``disk``.
        """
        self._drop_part(check_sha256(sha256))
        # A name of its own: under the usual one another session would go on with it, or clear it away.
        part = os.path.join(self._folder, "%s.%s.part" % (sha256, secrets.token_hex(8)))
        with disk_errors(source):
            source_fd = open_regular(source)
            try:
                with disk_errors(source, place=self._folder, needed_bytes=os.fstat(source_fd).st_size):
                    copy_to(source_fd, part)
                fd = open_regular(part)
                self._parts[sha256] = (fd, part)
                self._publish(sha256, fd, part)
            finally:
                os.close(source_fd)
                self._drop_part(sha256)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part)

    def verified(self, sha256: str) -> str:
        """The path of a blob whose content has just been compared with its name (once a session while it does not change).

        Raises:
            AgentError: ``integrity`` when it is missing, a symbolic link, or has changed; a changed one is removed.
        """
        path = self.path(sha256)
        try:
            fd = open_regular(path)
        except FileNotFoundError as problem:
            raise AgentError("integrity", "blob %s is not here; push it first" % sha256) from problem
        try:
            there = os.fstat(fd)
            identity = (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns)
            if self._verified.get(sha256) != identity:
                if hash_of(fd) != sha256:
                    os.unlink(path)
                    raise AgentError("integrity", "blob %s had changed on the device's disk and was removed" % sha256)
                self._verified[sha256] = identity
        finally:
            os.close(fd)
        self._use(sha256)
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
                    if not _is_named(part, fd):  # finished by another session between the opening and the lock
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
        found = hash_of(fd)
        if found != sha256:
            self._drop_part(sha256)
            raise AgentError("integrity", "what arrived as blob %s hashes to %s; it was not kept" % (sha256, found))
        self._use(sha256)
        os.rename(part, self.path(sha256))
        self._drop_part(sha256)

    # ------------------------------------------------------------ room
    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other session marks or drops blobs meanwhile."""
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _use(self, sha256: str) -> None:
        if check_sha256(sha256) in self._used:
            return
        self._used.add(sha256)
        if self._marks is not None:
            with disk_errors("marking a blob as used"):
                os.close(os.open(os.path.join(self._marks, sha256), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _marked(self) -> Set[str]:
        """What any session uses. A session that was killed counts until the next one that starts has swept its folder."""
        found: Set[str] = set(self._used)
        for name in os.listdir(self._sessions) if os.path.isdir(self._sessions) else ():
            with contextlib.suppress(OSError):  # it ended meanwhile, or has marked nothing
                found.update(os.listdir(os.path.join(self._sessions, name, "uses")))
        return found

    def _make_room(self, incoming_bytes: int, wanted: Mapping[str, int]) -> None:
        """Drop abandoned parts, then the least recently used blobs until what comes is within the quota and fits on the disk."""
        blobs = self._stored()
        total = sum(size for _, size, _ in blobs) + incoming_bytes
        marked = self._marked()
        for _, size, name in sorted(blobs):
            if total <= self._quota_bytes and incoming_bytes <= free_bytes(self._folder):
                return
            if name not in marked:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._folder, name))
                total -= size
        if incoming_bytes > free_bytes(self._folder):
            for sha256 in wanted:
                self._drop_part(sha256)
            raise no_space("storing %d files" % len(wanted), incoming_bytes, self._folder)

    def _stored(self) -> List[Tuple[int, int, str]]:
        """(last used, size, name) of every blob; parts that nobody goes on with are dropped."""
        blobs: List[Tuple[int, int, str]] = []
        now = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                there = entry.stat(follow_symlinks=False)
                if not entry.name.endswith(".part"):
                    blobs.append((there.st_atime_ns, there.st_size, entry.name))
                elif now - there.st_mtime > _PART_MAX_AGE_S and all(entry.path != part for _, part in self._parts.values()):
                    os.unlink(entry.path)
        return blobs


def _is_named(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        return False


def default_quota_bytes(home: str) -> int:
    """2 GiB, or a fifth of the disk that ``home`` lies on, whichever is less."""
    disk = os.statvfs(home)
    return min(QUOTA_BYTES, int(QUOTA_SHARE * disk.f_blocks * disk.f_frsize))
