"""Writes a package: aside, then renamed. Nothing is ever written outside the output folder, whatever a format or a bundle says."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..bundle_output import check_output, replacing
from ..errors import IntegrityError, OutputError, UsageError
from ..integrity import FileEntry, is_safe_path
from ..paths import kind_of
from ..state import writing
from .formats import PackageFile
from .manifest import PACKAGE_MANIFEST, PackageManifest, manifest_bytes


def check_place(out: Path, bundle: Path, *, force: bool) -> Path:
    """``out`` as an absolute path that may be written; call it before slow work.

    Raises:
        UsageError: it lies in the bundle, or the bundle in it.
        OutputError: it exists (without ``force``), is never ours to replace, or nothing can be written beside it.
    """
    place, source = Path(os.path.realpath(out)), Path(os.path.realpath(bundle))
    if place == source or place in source.parents or source in place.parents:
        raise UsageError(f"{out} and the bundle {bundle} lie in one another", hint="choose another folder with -o")
    there = kind_of(place, OutputError)
    if there == "folder" and _is_empty(place):
        return check_output(place, force=True)
    if there != "missing" and not force:
        raise OutputError(f"{out} exists", hint="choose another with -o, or add --force to replace all of it")
    return check_output(place, force=force)


def _is_empty(folder: Path) -> bool:
    with writing(folder):
        return not any(folder.iterdir())


def write_package(
    out: Path, files: Iterable[PackageFile], manifest: PackageManifest
) -> tuple[dict[str, FileEntry], dict[str, FileEntry]]:
    """Write ``files`` and ``edgekit-package.json`` to ``out``, which :func:`check_place` has allowed.

    Returns:
        Every file by its path, the manifest included, and those of them that reach the app.

    Raises:
        OutputError: no space, no permission. IntegrityError: a path that leaves the folder, or stands twice.
    """
    written: dict[str, FileEntry] = {}
    delivered: dict[str, FileEntry] = {}
    taken: set[str] = {PACKAGE_MANIFEST}
    with replacing(out, force=True) as folder:
        for file in files:
            _claim(file.path, taken)
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            written[file.path] = _write(target, file.content)
            if file.delivered:
                delivered[file.path] = written[file.path]
        content = manifest_bytes(manifest, dict(sorted(written.items())))
        written[PACKAGE_MANIFEST] = _write(folder / PACKAGE_MANIFEST, content)
    return dict(sorted(written.items())), delivered


def _claim(path: str, taken: set[str]) -> None:
    """No path twice, also where upper and lower case are one, and no file where a folder is."""
    if not is_safe_path(path):
        raise IntegrityError(f"unsafe path {path[:80]!r} in a package", why="only plain relative paths are allowed")
    folded = path.casefold()
    parents = {folded[:at] for at, character in enumerate(folded) if character == "/"}
    if folded in taken or any(parent in taken for parent in parents) or any(name.startswith(folded + "/") for name in taken):
        raise IntegrityError(f"two files of a package claim {path[:80]!r}")
    taken.add(folded)


def _write(target: Path, content: bytes | Path) -> FileEntry:
    if isinstance(content, Path):
        shutil.copyfile(content, target)
        with target.open("rb") as stream:
            return FileEntry(hashlib.file_digest(stream, "sha256").hexdigest(), target.stat().st_size)
    target.write_bytes(content)
    return FileEntry(hashlib.sha256(content).hexdigest(), len(content))
