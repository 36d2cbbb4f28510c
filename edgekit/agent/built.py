"""What runners have built on this device: kept between sessions, never sent anywhere, loaded only from here.

One folder (0700) for each build under ``<guest home>/built``, named by the sha256 of everything that it depends on, with the sha256
of its files in a list. What a session uses is linked into its own folder, so that dropping the oldest builds disturbs nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import zipfile
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .blobs import default_quota_bytes
from .errors import AgentError
from .files import check_relpath, check_sha256, disk_errors, hash_of, link_or_copy, open_regular, private_dir

PREFIX = "built/"  # of their names among a candidate's files; an artifact's own may not begin so
LIST = "built.json"
_FORMAT = 1
_PART_MAX_AGE_S = 24 * 3600
_MAX_LIST_BYTES = 1 << 20


def build_key(target: str, files: Mapping[str, str], options: Mapping[str, Any], fingerprint: Any, code_sha256: str) -> str:
    """What a build is known by: its inputs (by hash), its options, what the device is, and the code that builds."""
    described = {
        "format": _FORMAT, "target": target, "files": dict(files), "options": dict(options), "fingerprint": fingerprint,
        "code": code_sha256,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def runner_sha256(zipapp: str, target: str) -> str:
    """Of a target's own code in the zipapp: what it builds may differ with it."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(zipapp) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith("runners/%s/" % target):
                digest.update(b"%s\0%d\0" % (name.encode(), archive.getinfo(name).file_size))
                digest.update(archive.read(name))
    return digest.hexdigest()


class BuiltStore:
    """Builds of this user's on this device.

    Args:
        quota_bytes: of all builds together; the least recently used go first.
    """

    def __init__(self, home: str, quota_bytes: Optional[int] = None) -> None:
        self._folder = private_dir(os.path.join(private_dir(home), "built"))
        self._quota_bytes = default_quota_bytes(home) if quota_bytes is None else quota_bytes

    def kept_folder(self, target: str, fingerprint: Any) -> str:
        """A folder that outlasts builds, for what later ones on the same device can use (timings of kernels)."""
        name = hashlib.sha256(json.dumps([target, fingerprint], sort_keys=True).encode()).hexdigest()[:32]
        return private_dir(os.path.join(self._folder, "kept-" + name))

    def begin(self, key: str) -> str:
        """An empty folder to build ``key`` in."""
        self._drop_old_parts()
        part = os.path.join(self._folder, "%s.%d.part" % (check_sha256(key), os.getpid()))
        shutil.rmtree(part, ignore_errors=True)
        return private_dir(part)

    def abandon(self, part: str) -> None:
        shutil.rmtree(part, ignore_errors=True)

    def keep(self, key: str, part: str) -> None:
        """Hash what was built in ``part`` and give it its name; where a list of files is, all of them are whole.

        Raises:
            AgentError: ``integrity`` when there is anything but plain files, ``disk``.
        """
        hashes: Dict[str, str] = {}
        with disk_errors("keeping what was built"):
            for name in sorted(os.listdir(part)):
                fd = open_regular(os.path.join(part, name))
                try:
                    hashes[name] = hash_of(fd)
                    os.fsync(fd)
                finally:
                    os.close(fd)
            with open(os.path.join(part, LIST), "w", encoding="utf-8") as stream:
                json.dump({"format": _FORMAT, "files": hashes}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            place = os.path.join(self._folder, key)
            shutil.rmtree(place, ignore_errors=True)
            os.rename(part, place)
        self._make_room(key)

    def lay_out(self, key: str, folder: str) -> Optional[Dict[str, str]]:
        """Link the files of ``key`` into ``folder``, each compared with its hash.

        Returns:
            ``{PREFIX + name: path}``; ``None`` when it has not been built here, or what is there has changed (it is dropped then).

        Raises:
            AgentError: ``disk``.
        """
        place = os.path.join(self._folder, check_sha256(key))
        hashes = self._listed(place)
        if hashes is None:
            return None
        placed: Dict[str, str] = {}
        with disk_errors("using what was built"):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            for name, sha256 in hashes.items():
                source, target = os.path.join(place, name), os.path.join(folder, name)
                if not _is(source, sha256):
                    shutil.rmtree(place, ignore_errors=True)
                    shutil.rmtree(folder, ignore_errors=True)
                    return None
                link_or_copy(source, target)
                placed[PREFIX + name] = target
            os.utime(place)
        return placed

    def _listed(self, place: str) -> Optional[Dict[str, str]]:
        try:
            fd = open_regular(os.path.join(place, LIST))
        except (OSError, AgentError):
            return None
        try:
            listed = json.loads(os.read(fd, _MAX_LIST_BYTES).decode("utf-8"))
            return {check_relpath(name): check_sha256(sha256) for name, sha256 in listed["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, AgentError):
            return None
        finally:
            os.close(fd)

    # ------------------------------------------------------------ room
    def _make_room(self, newest: str) -> None:
        builds = self._stored()
        total = sum(size for _, size, _ in builds)
        for _, size, name in sorted(builds):
            if total <= self._quota_bytes:
                return
            if name != newest:
                shutil.rmtree(os.path.join(self._folder, name), ignore_errors=True)
                total -= size

    def _stored(self) -> List[Tuple[int, int, str]]:
        """(last used, size, name) of every build."""
        found: List[Tuple[int, int, str]] = []
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            if name.startswith("kept-") or name.endswith(".part"):
                continue
            with contextlib.suppress(OSError):  # another session drops it
                size = sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(path))
                found.append((os.stat(path).st_mtime_ns, size, name))
        return found

    def _drop_old_parts(self) -> None:
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            with contextlib.suppress(OSError):
                if name.endswith(".part") and time.time() - os.lstat(path).st_mtime > _PART_MAX_AGE_S:
                    shutil.rmtree(path, ignore_errors=True)


def _is(path: str, sha256: str) -> bool:
    try:
        fd = open_regular(path)
    except (OSError, AgentError):
        return False
    try:
        return hash_of(fd) == sha256
    finally:
        os.close(fd)
