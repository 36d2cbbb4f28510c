"""Built candidates, models exported from PyTorch and statistics of activations, kept for the next run; never measurements.

candidates/<key>/entry.json, files/...   written aside, hashed, renamed
candidates/.locks/<key>                  one builder at a time, also across processes
candidates/.in-use                       held by every run that uses an entry: ``clear`` must not pull it away
ranges/<key>, <key>.partial              one file each, its sha256 in front; the second is what an interrupted run goes on from
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import IntegrityError, OutputError
from .integrity import FileEntry, check_tree, is_sha256, read_json_file
from .state import cache_dir, locked, new_folder, open_lock, private_dir, write_file, writing
from .types import JSON, Artifact
from .values import canonical, from_json, sha256_json, to_json

_log = logging.getLogger(__name__)
_ENTRY = "entry.json"
_FILES = "files"
_LOCKS = ".locks"
_users: dict[Path, int] = {}  # {cache folder: open handle of its .in-use}, one per process, closed when it ends


@dataclass(frozen=True)
class Entry:
    """What stands beside the files of one built candidate."""

    key: str
    artifact: Artifact
    sizes_bytes: dict[str, int]


@dataclass(frozen=True)
class Usage:
    """What the cache holds: ``n_entries`` built candidates and exported models, ``n_ranges`` statistics, finished or not.

    ``path``: the folder of the candidates; ``size_bytes``: of everything.
    """

    path: Path
    n_entries: int
    size_bytes: int
    n_ranges: int = 0


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
    with locked(private_dir(root / _LOCKS) / name):
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
    """How much is kept, and its size on disk.

    Raises:
        OutputError: the cache folder cannot be made or is not this user's.
    """
    root = _root()
    places = list(_entries(root))
    files = list(_range_files(_ranges_root()))
    size_bytes = sum(map(_size_bytes, places)) + sum(map(_file_bytes, files))
    return Usage(root, len(places), size_bytes, len(files))


def _size_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        total += sum(_file_bytes(Path(parent) / name) for name in names)
    return total


def _file_bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # another run is writing or renaming it
        return 0


def clear() -> Usage:
    """Remove everything that is kept; returns what was removed.

    Raises:
        OutputError: another run is using the cache.
    """
    root = _root()
    with _alone(root):
        removed = usage()
        for place in _entries(root):
            with writing(place):
                shutil.rmtree(place)
        ranges = _ranges_root()
        for path in _range_files(ranges):
            with writing(path):
                path.unlink()
        for folder in (root, ranges):
            shutil.rmtree(folder / _LOCKS, ignore_errors=True)
    return removed


@contextlib.contextmanager
def range_files(key: JSON) -> Iterator[tuple[Path, Path]]:
    """Where the statistics that ``key`` describes are kept, and their unfinished state. No other process has the two meanwhile.

    Raises:
        OutputError: the cache cannot be written.
    """
    name = sha256_json(key)
    _mark_in_use(_root())
    root = _ranges_root()
    with locked(private_dir(root / _LOCKS) / name):
        yield root / name, root / f"{name}.partial"


def write_hashed(path: Path, data: bytes) -> None:
    """Write ``data`` so that :func:`read_hashed` notices whatever happens to it later."""
    write_file(path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data, mode=0o600)


def read_hashed(path: Path) -> bytes | None:
    """What :func:`write_hashed` wrote; None where there is nothing.

    Raises:
        IntegrityError: it is damaged.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:
            digest = stream.readline(65).rstrip(b"\n")
            data: bytes = stream.read()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise IntegrityError(f"{path.name} cannot be read", why=problem.strerror or str(problem)) from problem
    if hashlib.sha256(data).hexdigest().encode() != digest:
        raise IntegrityError(f"{path.name} is not what was written")
    return data


def _root() -> Path:
    return private_dir(cache_dir() / "candidates").resolve()


def _ranges_root() -> Path:
    return private_dir(cache_dir() / "ranges").resolve()


def _range_files(root: Path) -> Iterator[Path]:
    """Whole statistics, unfinished ones, and what a killed run may have left half-written."""
    for path in sorted(root.iterdir()):
        if is_sha256(path.name.removesuffix(".partial")) or (path.name.startswith(".") and path.name.endswith(".tmp")):
            yield path


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


def _mark_in_use(root: Path) -> None:
    if root not in _users:
        with writing(root):
            _users[root] = open_lock(root / ".in-use")
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
