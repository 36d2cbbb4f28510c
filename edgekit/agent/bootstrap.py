"""Receives the agent on a device that is reached by a remote command, keeps it, checks it, and becomes it.

Runs before there is an agent, so it stands alone. Its text comes down standard input (edgekit/devices/ssh_bootstrap.py sends it)
and it goes on reading there: one line of JSON {"nonce", "sha256", "size"}, then, if it answers ``need``, that many bytes. Each of
its answers is one line on standard output, ``edgekit-bootstrap <nonce> <word> ...``: ``need``, ``have`` once it is here, or
``failed <kind> <JSON text>``.

The agent is kept by the sha256 of its bytes in a folder that this user alone may enter, and is verified before it is run.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
import tempfile
import time
from typing import BinaryIO, List, Optional

_UNUSED_MAX_AGE_S = 30 * 24 * 3600
_FULL = (errno.ENOSPC, errno.EDQUOT)


class BootstrapError(Exception):
    """Why the agent cannot be started; ``kind`` is ``disk`` or ``integrity``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def private_folder(path: str) -> str:
    """``path`` as a real folder of this user's that nobody else may enter, made where it is missing.

    Raises:
        BootstrapError: ``integrity``: it is a link, no folder, or somebody else's.
        OSError: it cannot be made.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    there = os.lstat(path)
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid():
        raise BootstrapError("integrity", "%s is not a folder of this user's" % path)
    if stat.S_IMODE(there.st_mode) != 0o700:
        os.chmod(path, 0o700)
    if not os.access(path, os.W_OK):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
    return path


def guest_home() -> str:
    """The folder for edgekit's files: ``EDGEKIT_GUEST_HOME`` or ``~/.cache/edgekit``, else a private one among temporary files.

    A board whose root file system is mounted read-only still has a place for temporary files. The name there is fixed, so that what
    was pushed is found again; another user who took the name first is refused, and the sticky bit keeps him from taking it later.

    Raises:
        BootstrapError: there is no place at all.
    """
    wanted = os.environ.get("EDGEKIT_GUEST_HOME") or os.path.join(os.path.expanduser("~"), ".cache", "edgekit")
    refused: List[str] = []
    for path in (wanted, *("%s/edgekit-%d" % (folder, os.getuid()) for folder in shared_folders())):
        try:
            private_folder(path)
        except OSError as problem:
            refused.append("%s: %s" % (path, problem.strerror))
        except BootstrapError as problem:
            if path == wanted:
                raise
            refused.append(str(problem))
        else:
            if refused:
                sys.stderr.write("edgekit keeps its files in %s, because %s\n" % (path, "; ".join(refused)))
            return path
    raise BootstrapError("disk", "there is no folder to keep files in (%s)" % "; ".join(refused))


def shared_folders() -> List[str]:
    """Folders for everyone's temporary files in which nobody may rename or remove what is another's."""
    found = []
    for folder in ("/var/tmp", "/tmp"):  # noqa: S108 - a private folder in it is checked before use
        try:
            mode = os.stat(folder).st_mode
        except OSError:
            continue
        if mode & stat.S_ISVTX:
            found.append(folder)
    return found


def is_intact(path: str, sha256: str, size: int) -> bool:
    """Whether ``path`` is a regular file of this user's with that content. No link is followed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    with open(fd, "rb") as stream:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode) or there.st_uid != os.getuid() or there.st_size != size:
            return False
        return hashlib.sha256(stream.read()).hexdigest() == sha256


def store(path: str, data: bytes) -> None:
    """Write aside and rename; nothing is left of it where it fails.

    Raises:
        BootstrapError: ``disk``, with what was needed and what there is.
    """
    folder = os.path.dirname(path)
    aside: Optional[str] = None
    try:
        fd, aside = tempfile.mkstemp(prefix=".new.", dir=folder)
        with open(fd, "wb") as stream:
            stream.write(data)
        os.rename(aside, path)
    except OSError as problem:
        if aside is not None and os.path.lexists(aside):
            os.unlink(aside)
        detail = problem.strerror or str(problem)
        if problem.errno in _FULL:
            space = os.statvfs(folder)
            detail += "; needs %d bytes, %d are available" % (len(data), space.f_bavail * space.f_frsize)
        raise BootstrapError("disk", "%s: %s" % (folder, detail)) from problem


def drop_unused(folder: str) -> None:
    """Remove agents that no session has started for a month."""
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):  # another session drops it, or it is none of ours: no reason not to start
            if time.time() - entry.stat(follow_symlinks=False).st_mtime > _UNUSED_MAX_AGE_S:
                os.unlink(entry.path)


def receive(source: BinaryIO, say: "Conversation") -> str:
    """The path of the agent that the host wants, after it is here and verified."""
    home = guest_home()
    os.environ["EDGEKIT_GUEST_HOME"] = home
    try:
        folder = private_folder(os.path.join(home, "agents"))
    except OSError as problem:
        raise BootstrapError("disk", "%s: %s" % (home, problem.strerror)) from problem
    path = os.path.join(folder, say.sha256 + ".pyz")
    if is_intact(path, say.sha256, say.size):
        os.utime(path)
    else:
        say.answer("need")
        data = source.read(say.size)
        if hashlib.sha256(data).hexdigest() != say.sha256:
            raise BootstrapError("integrity", "what arrived of the agent is not what was sent")
        store(path, data)
    say.answer("have")
    drop_unused(folder)
    return path


class Conversation:
    """The host's request, and the answers to it."""

    def __init__(self, request: bytes) -> None:
        fields = json.loads(request.decode())
        self.nonce = str(fields["nonce"])
        self.sha256 = str(fields["sha256"])
        self.size = int(fields["size"])
        if not all(character in "0123456789abcdef" for character in self.nonce + self.sha256):
            raise ValueError("not a request")

    def answer(self, text: str) -> None:
        """The first line end separates the answer from what a login script may have printed."""
        os.write(1, ("\nedgekit-bootstrap %s %s\n" % (self.nonce, text)).encode())


def main() -> None:
    """Called by the remote command's last statement; returns only by an exception or in failure."""
    source = sys.stdin.buffer
    request = source.readline(4096)
    if not request:
        sys.exit(1)
    say = Conversation(request)
    try:
        path = receive(source, say)
    except BootstrapError as problem:
        say.answer("failed %s %s" % (problem.kind, json.dumps(str(problem))))
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, path])  # noqa: S606 - no shell is wanted
