"""Folders whose every file is listed with its hash and size. Nothing in them is trusted before it has been compared.

Used by bundles, installs and the candidate cache. Sizes are compared before a byte is hashed, links and special files are refused,
and JSON is read with its depth, size and duplicate keys bounded, so that a hostile folder costs little and touches nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import IntegrityError
from .types import JSON

MAX_JSON_BYTES = 32 << 20  # a hash for each of some 400,000 calibration feeds
MAX_JSON_DEPTH = 64
MAX_JSON_WEIGHT = 500_000  # of all values, see json_weight: what is parsed takes up to a hundred times the memory of its text
MAX_JSON_TEXT_BYTES = 64 << 20  # as Python keeps it: one emoji makes it four bytes a character
MAX_FILES = 10_000
MAX_FILE_BYTES = 64 << 30
MAX_PATH_LENGTH = 512
_CHUNK = 1 << 20
_FOUR_BYTES = re.compile(rb"[\xf0-\xf7]")  # the first byte of a character beyond the basic plane, in UTF-8


@dataclass(frozen=True)
class FileEntry:
    """One listed file: its sha256 (64 lower-case hex digits) and its length."""

    sha256: str
    size_bytes: int


def is_sha256(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def is_safe_path(name: str) -> bool:
    """Whether ``name`` is a plain relative path: ``/`` between parts, not absolute, no ``..``, no character Windows reserves."""
    if not name or len(name) > MAX_PATH_LENGTH or not name.isprintable() or any(c in name for c in '\\:*?"<>|'):
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def check_count(document: Mapping[str, JSON]) -> None:
    """Refuses a manifest that lists more files than are ever read, before its list is made values of.

    Raises:
        IntegrityError: over 10,000 files.
    """
    files = document.get("files")
    if isinstance(files, dict) and len(files) > MAX_FILES:
        raise IntegrityError(f"{len(files)} files are listed", why=f"more than {MAX_FILES} are never read")


def check_listing(files: Mapping[str, FileEntry]) -> None:
    """Refuses a list of files that no honest writer makes, before any of them is opened.

    Raises:
        IntegrityError: an unsafe path, a malformed hash, an absurd size, or too many files.
    """
    if len(files) > MAX_FILES:
        raise IntegrityError(f"{len(files)} files are listed", why=f"more than {MAX_FILES} are never read")
    for name, entry in files.items():
        if not is_safe_path(name):
            raise IntegrityError(f"unsafe path {name[:80]!r} is listed", why="only plain relative paths are allowed")
        if not is_sha256(entry.sha256):
            raise IntegrityError(f"{name}: the listed sha256 is malformed")
        if not 0 <= entry.size_bytes <= MAX_FILE_BYTES:
            raise IntegrityError(f"{name}: the listed size is absurd", why=f"{entry.size_bytes} bytes")


def walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every regular file under ``folder`` as (path with ``/``, status), sorted; nothing is followed or opened.

    Raises:
        IntegrityError: a symbolic link, a hard link, a device, a pipe, an unreadable folder, or too many files.
    """
    names: list[tuple[str, os.stat_result]] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            entries = list(os.scandir(folder / prefix))
        except OSError as problem:
            raise IntegrityError(f"cannot read {prefix or folder}", why=problem.strerror or str(problem)) from problem
        for entry in entries:
            name = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                pending.append(name + "/")
            elif not stat.S_ISREG(status.st_mode):
                kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a regular file"
                raise IntegrityError(f"{name!r} is {kind}", why="only regular files are allowed here")
            elif status.st_nlink > 1:
                raise IntegrityError(f"{name!r} has {status.st_nlink} hard links", why="it could be changed from elsewhere")
            else:
                names.append((name, status))
            if len(names) + len(pending) > MAX_FILES:
                raise IntegrityError(f"more than {MAX_FILES} files and folders")
    return iter(sorted(names))


def check_tree(folder: Path, files: Mapping[str, FileEntry], *, also: frozenset[str] = frozenset()) -> None:
    """Compares ``folder`` with its list: first names, then sizes, then hashes. ``also`` names files that stand outside the list.

    Raises:
        IntegrityError: names the first file that is missing, unlisted or different, with what was expected and found.
    """
    check_listing(files)
    found = {name: status for name, status in walk(folder) if name not in also}
    for name in found:
        if name not in files:
            raise IntegrityError(f"{name!r} is not listed", why="every file must be; nothing of it was used")
    for name, entry in sorted(files.items()):
        if name not in found:
            raise IntegrityError(f"{name!r} is listed but missing")
        actual_bytes = found[name].st_size
        if actual_bytes != entry.size_bytes:
            raise IntegrityError(f"{name!r} has the wrong size", why=f"expected {entry.size_bytes} bytes, found {actual_bytes}")
    for name, entry in sorted(files.items()):
        actual = hash_file(folder / name, entry.size_bytes)
        if actual != entry.sha256:
            raise IntegrityError(f"{name!r} is not what was written", why=f"expected sha256 {entry.sha256}, found {actual}")


def read_regular(path: Path, size_bytes: int, consume: Callable[[bytes], object]) -> None:
    """Hands the ``size_bytes`` bytes of a regular file to ``consume`` piece by piece; never follows a link, never blocks on a pipe.

    Raises:
        IntegrityError: not a regular file, unreadable, or its length is not ``size_bytes``.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise IntegrityError(f"cannot read {path.name!r}", why=problem.strerror or str(problem)) from problem
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_size != size_bytes:
        os.close(handle)
        raise IntegrityError(f"{path.name!r} is not a regular file of {size_bytes} bytes", why="or it changed while it was read")
    with os.fdopen(handle, "rb", buffering=0) as stream:
        left = size_bytes
        while left:
            piece = stream.read(min(left, _CHUNK))
            if not piece:
                raise IntegrityError(f"{path.name!r} changed while it was read", why=f"{left} bytes are missing")
            consume(piece)
            left -= len(piece)


def hash_file(path: Path, size_bytes: int) -> str:
    """The sha256 of a regular file of that length (see :func:`read_regular`)."""
    digest = hashlib.sha256()
    read_regular(path, size_bytes, digest.update)
    return digest.hexdigest()


def read_json_file(path: Path, *, max_bytes: int = MAX_JSON_BYTES, max_weight: int | None = MAX_JSON_WEIGHT) -> tuple[JSON, bytes]:
    """A bounded JSON document and its bytes.

    Raises:
        IntegrityError: missing, a link, over ``max_bytes``, or refused by :func:`parse_json`.
    """
    data = read_small(path, max_bytes=max_bytes)
    return parse_json(data, path.name, max_weight=max_weight), data


def read_small(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of a regular file that may not be long.

    Raises:
        IntegrityError: missing, a link, no regular file, or over ``max_bytes``; of such a file nothing is read.
    """
    try:
        size = path.lstat().st_size
    except OSError as problem:
        raise IntegrityError(f"cannot read {path.name!r}", why=problem.strerror or str(problem)) from problem
    if size > max_bytes:
        raise IntegrityError(f"{path.name!r} has {size} bytes", why=f"over {max_bytes} are never read")
    data = bytearray()
    read_regular(path, size, data.extend)
    return bytes(data)


def parse_json(data: bytes, name: str, *, max_weight: int | None = MAX_JSON_WEIGHT) -> JSON:
    """JSON from a distrusted source: UTF-8, no NaN, no key twice, at most 64 levels.

    Args:
        data: the document.
        name: what messages call it.
        max_weight: see :func:`json_weight`; None for no limit but the caller's on the bytes.

    Raises:
        IntegrityError: anything else.
    """
    if max_weight is not None:
        check_json_weight(data, name, max_weight)
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise IntegrityError(f"{name!r} is not valid JSON", why=str(problem)[:200]) from problem
    pending = [(document, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_JSON_DEPTH:
            raise IntegrityError(f"{name!r} is nested over {MAX_JSON_DEPTH} levels")
        if isinstance(value, dict):
            pending.extend((child, depth + 1) for child in value.values())
        elif isinstance(value, list):
            pending.extend((child, depth + 1) for child in value)
    return document


def check_json_weight(data: bytes, name: str, max_weight: int = MAX_JSON_WEIGHT) -> None:
    """Refuses a document that would cost far more than its bytes, before it is parsed.

    Raises:
        IntegrityError: too many values, or characters that make all of its text wide.
    """
    weight = json_weight(data)
    if weight > max_weight:
        raise IntegrityError(f"{name!r} has too many values", why=f"a weight of {weight}; over {max_weight} is never parsed")
    width = 1 if data.isascii() else 4 if _FOUR_BYTES.search(data) else 2
    if len(data) * width > MAX_JSON_TEXT_BYTES:
        raise IntegrityError(
            f"{name!r} is too long for its characters",
            why=f"{len(data)} characters of {width} bytes; {MAX_JSON_TEXT_BYTES} are taken",
        )


def json_weight(data: bytes) -> int:
    """An upper bound of what a document has in it, without parsing it: 1 for a value, 2 for a list, 4 for an object."""
    return data.count(b",") + data.count(b"[") + 3 * data.count(b"{")


def _unique_keys(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _no_constant(text: str) -> JSON:
    raise ValueError(f"{text} is not JSON")
