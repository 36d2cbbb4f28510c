"""Where a bundle may be written, and how it replaces an older one: nobody's work is removed, and nothing is left beside it."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import IntegrityError, OutputError, UsageError
from .integrity import read_json_file
from .manifest import MANIFEST, SCHEMA, SIGNATURE
from .state import new_folder, writing

_SHOWN = 3  # foreign files that a message names


def check_output(out: Path, *, force: bool = False) -> Path:
    """``out`` as an absolute path that may be written; call it before slow work.

    Raises:
        OutputError: nothing can be written beside it, or something stands there that is no bundle or that its manifest does not
            list (without ``force``), or that is never ours to replace or cannot be.
    """
    out = Path(os.path.realpath(out))
    _require_writable(out)
    if not os.path.lexists(out):
        return out
    if not out.is_dir():
        raise OutputError(f"{out} exists and is not a folder", hint="choose another with -o")
    if any(place == out or out in place.parents for place in (Path.cwd(), Path.home().resolve())):
        raise OutputError(
            f"{out} is never replaced", why="the working directory or your home is in it", hint="choose another with -o"
        )
    if _is_mount_point(out):  # a volume of a container
        raise OutputError(
            f"{out} is a mount point", why="a new folder cannot take its place", hint=f"name a folder in it: -o {out / 'NAME'}"
        )
    if not force:
        _refuse_foreign(out)
    return out


def check_keeps(out: Path, inputs: Iterable[Path]) -> None:
    """Refuses to replace a folder that a run reads from: ``--force`` says that it may go, and hardly means that.

    Raises:
        UsageError: names what lies in ``out``.
    """
    place = os.path.realpath(out)
    for path in inputs:
        if Path(os.path.realpath(path)).is_relative_to(place):
            raise UsageError(f"{path} lies in {out}", why="that folder is replaced", hint="choose another with -o")


def _is_mount_point(folder: Path) -> bool:
    """Also where a folder of the same file system is mounted, which ``os.path.ismount`` does not see."""
    if os.path.ismount(folder):
        return True
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:  # not Linux
        return False
    mounted = (line.split(" ")[4] for line in lines)  # white space and backslashes in it are octal numbers
    return any(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), path) == str(folder) for path in mounted)


def _require_writable(out: Path) -> None:
    """A bundle is written at the end of a long search; that nothing can be is said before it."""
    place = next((parent for parent in out.parents if os.path.lexists(parent)), out)
    with writing(out):
        Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=place)).rmdir()


def _refuse_foreign(out: Path) -> None:
    """Whatever a bundle there does not list is somebody's work and is not removed unasked.

    Raises:
        OutputError: names what is foreign.
    """
    listed = _listed(out)
    with writing(out):
        foreign = list(itertools.islice((name for name in _files(out) if name not in listed), _SHOWN + 1))
    if foreign:
        shown = ", ".join(repr(name) for name in foreign[:_SHOWN]) + (", ..." if len(foreign) > _SHOWN else "")
        raise OutputError(
            f"{out} holds what is not a bundle's" if listed else f"{out} exists and is not a bundle",
            why=f"{MANIFEST} does not list {shown}" if listed else f"it holds {shown} and no {MANIFEST} of schema {SCHEMA}",
            hint="choose another with -o, or add --force to replace all of it",
        )


def _listed(out: Path) -> set[str]:
    """What the manifest in ``out`` lists, itself and its signature; nothing where there is none that can be read."""
    try:
        document, _ = read_json_file(out / MANIFEST)
    except IntegrityError:
        return set()
    if not isinstance(document, dict) or document.get("schema") != SCHEMA or not isinstance(document.get("files"), dict):
        return set()
    return {MANIFEST, SIGNATURE, *document["files"]}


def _files(folder: Path) -> Iterator[str]:
    """Everything under ``folder`` but folders, as paths with ``/``, sorted in each; links are not followed."""
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*names, *links]):
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _raise(problem: OSError) -> None:
    raise problem


@contextlib.contextmanager
def replacing(out: Path, *, force: bool) -> Iterator[Path]:
    """A folder written aside that takes the place of ``out`` when the block ends well; the old one is back when it does not."""
    retired = out.with_name(f".{out.name}.{secrets.token_hex(8)}.old")  # named before it is there: an interrupt finds it
    try:
        with new_folder(out) as folder:
            yield folder
            if out.exists():
                check_output(out, force=force)
                with writing(out):
                    retired.mkdir(mode=0o700)
                    out.rename(retired / "bundle")
    finally:
        try:
            _settle(out, retired)
        except BaseException:
            _settle(out, retired)  # interrupted: once more, then the interrupt goes on
            raise


def _settle(out: Path, retired: Path) -> None:
    """The old bundle is back where no new one came, and gone where one did."""
    if not retired.exists():
        return
    with writing(out):
        if not out.exists() and (retired / "bundle").exists():
            (retired / "bundle").rename(out)
        shutil.rmtree(retired)
