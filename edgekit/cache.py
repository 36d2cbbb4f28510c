"""Built candidates and models exported from PyTorch, kept for the next run. Measurements are never cached.

candidates/<key>/entry.json, files/...   written aside, hashed, renamed
candidates/.locks/<key>                  one builder at a time, also across processes
candidates/.in-use                       held by every run that uses an entry: ``clear`` must not pull it away
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import IntegrityError, OutputError
from .integrity import FileEntry, check_tree, is_sha256, read_json_file
from .state import cache_dir, new_folder, private_dir, writing
from .types import JSON, Artifact
from .values import canonical, from_json, sha256_json, to_json

_log = logging.getLogger(__name__)
_ENTRY = "entry.json"
_FILES = "files"
_users: dict[Path, int] = {}  # {cache folder: open handle of its .in-use}, one per process, closed when it ends


@dataclass(frozen=True)
class Entry:
    """What stands beside the files of one built candidate."""

    key: str
    artifact: Artifact
    sizes_bytes: dict[str, int]


@dataclass(frozen=True)
class Usage:
    """What the cache of built candidates holds."""

    path: Path
    n_entries: int
    size_bytes: int


def get_or_build(key: JSON, build: Callable[[Path], Artifact]) -> tuple[Artifact, Path, bool]:
    """The candidate that ``key`` describes: from the cache if it is there and intact, otherwise built into it.

    Two processes that want the same one build it once. A damaged entry is built anew.

    Args:
        key: everything that the result depends on, as plain JSON: format, target and its version, model fingerprint, candidate, fit
            manifest, tool versions, ``build_key``. Its canonical JSON is hashed.
        build: writes the artifact's files into the empty folder it is given.

    Returns:
        The artifact, the folder that holds its files, and whether it came from the cache.

    Raises:
        OutputError: the cache cannot be written.
        IntegrityError: ``build`` returned an artifact that is not what it wrote.
        EdgekitError: whatever ``build`` raises; nothing is kept then.
    """
    name = sha256_json(key)
    root = _root()
    _mark_in_use(root)
    place = root / name
    with _lock(root, name):
        artifact = _read(place, name)
        if artifact is not None:
            return artifact, place / _FILES, True
        if os.path.lexists(place):
            with writing(place):
                shutil.rmtree(place)
        with new_folder(place) as folder:
            files = folder / _FILES
            files.mkdir()
            artifact = build(files)
            sizes = _verified_sizes(files, artifact)
            (folder / _ENTRY).write_bytes(canonical(to_json(Entry(name, artifact, sizes))))
        return artifact, place / _FILES, False


def usage() -> Usage:
    """How many candidates are kept, and their size on disk.

    Raises:
        OutputError: the cache folder cannot be made or is not this user's.
    """
    root = _root()
    places = list(_entries(root))
    return Usage(root, len(places), sum(_size_bytes(place) for place in places))


def _size_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another run is writing or renaming it
                total += (Path(parent) / name).lstat().st_size
    return total


def clear() -> Usage:
    """Remove every built candidate; returns what was removed.

    Raises:
        OutputError: another run is using the cache.
    """
    root = _root()
    with _alone(root):
        removed = usage()
        for place in _entries(root):
            with writing(place):
                shutil.rmtree(place)
        shutil.rmtree(root / ".locks", ignore_errors=True)
    return removed


def _root() -> Path:
    return private_dir(cache_dir() / "candidates").resolve()


def _entries(root: Path) -> Iterator[Path]:
    """Whole entries, and what a killed run may have left half-written."""
    for place in sorted(root.iterdir()):
        if is_sha256(place.name) or (place.name.startswith(".") and place.name.endswith(".tmp")):
            yield place


def _read(place: Path, name: str) -> Artifact | None:
    """The artifact of an intact entry; None when it is missing or damaged: both are built."""
    if not place.is_dir():
        return None
    try:
        document, _ = read_json_file(place / _ENTRY)
        entry = from_json(Entry, document, name=_ENTRY)
        if entry.key != name or set(entry.sizes_bytes) != set(entry.artifact.files):
            raise IntegrityError(f"{_ENTRY} does not describe this entry")
        check_tree(place / _FILES, _listing(entry.artifact, entry.sizes_bytes))
    except IntegrityError as problem:
        _log.warning("cached candidate %s is damaged and is built anew: %s", name, problem)
        return None
    return entry.artifact


def _verified_sizes(files: Path, artifact: Artifact) -> dict[str, int]:
    sizes = {name: (files / name).stat().st_size if (files / name).is_file() else 0 for name in artifact.files}
    try:
        check_tree(files, _listing(artifact, sizes))
    except IntegrityError as problem:
        raise IntegrityError(
            "a build recorded other files than it wrote", why=problem.what, hint="this is a bug of the target plugin"
        ) from problem
    return sizes


def _listing(artifact: Artifact, sizes: Mapping[str, int]) -> dict[str, FileEntry]:
    return {name: FileEntry(digest, sizes[name]) for name, digest in artifact.files.items()}


@contextlib.contextmanager
def _lock(root: Path, name: str) -> Iterator[None]:
    with writing(root):
        handle = _open(private_dir(root / ".locks") / name)
    try:
        with writing(root):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _mark_in_use(root: Path) -> None:
    if root not in _users:
        with writing(root):
            _users[root] = _open(root / ".in-use")
            fcntl.flock(_users[root], fcntl.LOCK_SH)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    _mark_in_use(root)
    try:
        fcntl.flock(_users[root], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        fcntl.flock(_users[root], fcntl.LOCK_SH)
        raise OutputError(
            "the cache is in use", why="another run takes candidates from it", hint="try again when it has ended"
        ) from problem
    try:
        yield
    finally:
        fcntl.flock(_users[root], fcntl.LOCK_SH)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
