"""A bundle put where an application on the device looks for it: versions side by side, and a link that always names a whole one.

PATH/versions/<UTC time>-<hash8>/   copies whose every file was hashed
PATH/current                        link to the one in use, swung by rename
PATH/previous                       link to the one before, for ``rollback``

The same layout as an installation on the host (``edgekit/installation.py``). An application keeps the version that it has opened;
one version before the current one is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from typing import Dict, Iterator, Mapping, Optional, Sequence

from .errors import AgentError
from .files import Verifying, check_relpath, check_sha256, copy_to, disk_errors, free_bytes, hash_of, no_space, open_regular

_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8}\Z")
_MAX_PATH = 1024


def install_root(text: object) -> str:
    """The folder that the user calls ``text``: absolute, or else in this user's home (``~/`` may say so).

    Raises:
        AgentError: ``protocol`` for a path with ``..`` or what is no path.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_PATH or any(not sign.isprintable() for sign in text):
        raise AgentError("protocol", "not a usable path: %.80r" % (text,))
    plain = text[2:] if text.startswith("~/") else text
    if ".." in plain.split("/") or plain.startswith("~"):
        raise AgentError("protocol", "a path to install to names no other user and has no ..: %.200r" % text)
    root = os.path.normpath(plain if plain.startswith("/") else os.path.join(os.path.expanduser("~"), plain))
    if root in ("/", os.path.normpath(os.path.expanduser("~"))):
        raise AgentError("protocol", "name a folder of its own to install to, not %s" % root)
    return root


def install(root: str, version: str, files: Mapping[str, str], blobs: Verifying) -> Dict[str, object]:
    """Copy ``files`` ({relative path: sha256}, blobs that were pushed) to a new version and make it the current one.

    Readers see the old version or the new one, never a mixture. What is in use already changes nothing; a damaged one is replaced.

    Args:
        version: ``<UTC time>-<first 8 digits of the bundle's hash>``.

    Returns:
        ``current`` and ``previous`` (or None): absolute paths; ``changed``.

    Raises:
        AgentError: ``integrity`` for a file that is not what it is called; ``disk`` when the folder cannot be written, is full, or
            holds something else under these names.
    """
    if not _VERSION.match(version):
        raise AgentError("protocol", "not a version: %.80r" % version)
    versions = os.path.join(root, "versions")
    _refuse_foreign(root)
    with disk_errors(root):
        os.makedirs(versions, exist_ok=True)
    with _alone(versions):
        current, previous = _link_target(root, "current"), _link_target(root, "previous")
        if current is not None and current.endswith(version[-9:]) and _is_intact(current, files):
            return {"current": current, "previous": previous, "changed": False}
        place = os.path.join(versions, version)
        _copy_all(place, files, blobs)
        if current is not None:
            _swing(root, "previous", current)
        _swing(root, "current", place)
        _remove_others(versions, (place, current))
        return {"current": place, "previous": current, "changed": True}


def rollback(root: str) -> Dict[str, object]:
    """Make the version before the current one current again, and the current one the previous: once more goes forward again.

    Raises:
        AgentError: ``disk`` when nothing is installed there, or nothing was before.
    """
    _refuse_foreign(root)
    if _link_target(root, "current") is None:
        raise AgentError("disk", "nothing is installed in %s" % root)
    with _alone(os.path.join(root, "versions")):
        current, previous = _link_target(root, "current"), _link_target(root, "previous")
        if current is None or previous is None:
            raise AgentError("disk", "%s holds no version before the current one" % root)
        _swing(root, "current", previous)
        _swing(root, "previous", current)
    return {"current": previous, "previous": current, "changed": True}


def _refuse_foreign(root: str) -> None:
    """What stands under our names and was not made by an install is somebody's work."""
    versions = os.path.join(root, "versions")
    for folder in (root, versions):
        if os.path.lexists(folder) and (not os.path.isdir(folder) or (folder == versions and os.path.islink(folder))):
            raise AgentError("disk", "%s is not a folder" % folder)
    for name in ("current", "previous"):
        link = os.path.join(root, name)
        if os.path.lexists(link) and not (os.path.islink(link) and _is_version_link(os.readlink(link))):
            raise AgentError("disk", "%s was not made by an install and is left alone" % link)


def _is_version_link(target: str) -> bool:
    folder, _, name = target.partition("/")
    return folder == "versions" and _VERSION.match(name) is not None


def _link_target(root: str, name: str) -> Optional[str]:
    """The version that a link names; None where there is none, or it was removed by hand."""
    try:
        target = os.path.join(root, os.readlink(os.path.join(root, name)))
    except OSError:
        return None
    return target if os.path.isdir(target) else None


def _is_intact(version: str, files: Mapping[str, str]) -> bool:
    found = sum(len(names) for _, _, names in os.walk(version))
    try:
        return found == len(files) and all(_sha256(os.path.join(version, name)) == sha256 for name, sha256 in files.items())
    except (OSError, AgentError):
        return False


def _sha256(path: str) -> str:
    fd = open_regular(path)
    try:
        return hash_of(fd)
    finally:
        os.close(fd)


def _copy_all(place: str, files: Mapping[str, str], blobs: Verifying) -> None:
    """Every file is a copy of its own: what an application does to it must not reach the store."""
    sources = {check_relpath(name): blobs.verified(check_sha256(sha256)) for name, sha256 in files.items()}
    folder, name = os.path.split(place)
    needed = sum(os.path.getsize(source) for source in sources.values())
    if needed > free_bytes(folder):
        raise no_space("installing", needed, folder)
    aside = os.path.join(folder, ".%s.%s.tmp" % (name, secrets.token_hex(4)))
    try:
        with disk_errors("installing", place=folder, needed_bytes=needed):
            os.mkdir(aside, 0o755)
            for relpath, source in sources.items():
                target = os.path.join(aside, *relpath.split("/"))
                os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
                _copy(source, target)
            for relpath, sha256 in files.items():  # read back: the blob may have changed since it was verified
                if _sha256(os.path.join(aside, *relpath.split("/"))) != sha256:
                    raise AgentError("integrity", "%s changed while it was copied" % relpath)
            _flush(aside)
            os.rename(aside, place)
            _flush(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy(source: str, target: str) -> None:
    fd = open_regular(source)
    try:
        copy_to(fd, target)
    finally:
        os.close(fd)
    os.chmod(target, 0o644)  # the application that reads it may run as somebody else
    _flush(target)


def _swing(root: str, name: str, version: str) -> None:
    aside = os.path.join(root, ".%s.%s.tmp" % (name, secrets.token_hex(4)))
    with disk_errors(root):
        os.symlink(os.path.join("versions", os.path.basename(version)), aside)
        try:
            os.replace(aside, os.path.join(root, name))
        except OSError:
            os.unlink(aside)
            raise
        _flush(root)


def _remove_others(versions: str, keep: Sequence[Optional[str]]) -> None:
    """Older versions go, and what a killed install left half-copied; what does not look like ours stays."""
    for name in os.listdir(versions):
        path = os.path.join(versions, name)
        is_leftover = name.startswith(".") and name.endswith(".tmp") and _VERSION.match(name[1:].rsplit(".", 2)[0])
        if (_VERSION.match(name) or is_leftover) and path not in keep and os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)


def _flush(path: str) -> None:
    """On disk before a link names it: a power cut leaves the old version or the new one."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _alone(folder: str) -> Iterator[None]:
    """One install at a time; the folder itself is what is locked, so nothing is left behind."""
    with disk_errors(folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with disk_errors(folder):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
