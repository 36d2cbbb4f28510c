"""Where edgekit keeps things, and how a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import OutputError


def _home(kind: str) -> Path:
    override = os.environ.get("EDGEKIT_HOME")
    if override:
        return Path(override) / kind
    import platformdirs

    dirs = platformdirs.PlatformDirs("edgekit", appauthor=False)
    return {"config": dirs.user_config_path, "cache": dirs.user_cache_path, "state": dirs.user_state_path}[kind]


def config_dir() -> Path:
    return _home("config")


def cache_dir() -> Path:
    return _home("cache")


def state_dir() -> Path:
    return _home("state")


def private_dir(path: Path) -> Path:
    """``path`` as an existing folder that only this user may enter."""
    with writing(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Maps what the operating system says about a failed write to an OutputError that names ``path``.

    Raises:
        OutputError: no space, no permission, or not a folder.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(_existing_parent(path)).free
            raise OutputError(
                f"no space left while writing {path}",
                why=f"{free} bytes are free there",
                hint="free some space, or choose another folder with -o or EDGEKIT_HOME",
            ) from problem
        if isinstance(problem, (PermissionError, NotADirectoryError, FileExistsError)) or problem.errno == errno.EROFS:
            raise OutputError(
                f"cannot write {path}", why=problem.strerror or str(problem), hint="choose another folder with -o or EDGEKIT_HOME"
            ) from problem
        raise


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder written aside and renamed to ``path`` when the block ends well; otherwise nothing is left.

    ``path`` must not exist when the block ends.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        with writing(path):
            yield aside
            aside.chmod(0o755)
            aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` aside, flush it to disk and rename it to ``path``."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            aside.chmod(mode)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A private scratch folder (0700) that is gone when the block ends, also on Ctrl-C."""
    root = private_dir(cache_dir() / "work")
    with writing(root):
        folder = Path(tempfile.mkdtemp(prefix="run.", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
