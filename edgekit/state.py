"""Where edgekit keeps things, and how a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import OutputError

_ONLY_OURS = "what edgekit keeps there is run and trusted later"
_CANNOT_WRITE = frozenset({
    errno.EROFS, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP,
    errno.EBUSY, errno.EXDEV,  # a folder that cannot be renamed: a mount point, one of an image's lower layers
})  # fmt: skip


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
    """``path`` as an existing folder of this user's that nobody else may enter; parents that it makes are private as well.

    Raises:
        OutputError: it is a symbolic link, no folder or somebody else's, or it cannot be made.
    """
    with writing(path):
        missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        there = path.lstat()
        if not stat.S_ISDIR(there.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(there.st_mode) else "not a folder"
            raise OutputError(f"{path} is {kind}", why=_ONLY_OURS, hint="remove it, or set EDGEKIT_HOME to another folder")
        if there.st_uid != os.getuid():
            raise OutputError(f"{path} belongs to another user", why=_ONLY_OURS, hint="set EDGEKIT_HOME to a folder of yours")
        if stat.S_IMODE(there.st_mode) != 0o700:
            path.chmod(0o700)
    return path


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Maps what the operating system says about a failed write to an OutputError that names ``path``.

    Only for edgekit's own writing to ``path``: of other work, :func:`_out_of_space` maps what can be told apart.

    Raises:
        OutputError: no space, no permission, not a folder, or a file system without locks.
    """
    try:
        with _out_of_space(path):
            yield
    except OSError as problem:
        refused = isinstance(problem, (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError))
        if not refused and problem.errno not in _CANNOT_WRITE:
            raise
        raise OutputError(
            f"cannot write {path}", why=problem.strerror or str(problem), hint="choose another folder with -o or EDGEKIT_HOME"
        ) from problem


@contextlib.contextmanager
def _out_of_space(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(_existing_parent(path)).free
        raise OutputError(
            f"no space left while writing {path}",
            why=f"{free} bytes are free there",
            hint="free some space, or choose another folder with -o or EDGEKIT_HOME",
        ) from problem


def _existing_parent(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder written aside and renamed to ``path`` when the block ends well; otherwise nothing is left.

    ``path`` must not exist when the block ends.

    Raises:
        OutputError: the folder cannot be made or renamed, or the block ran out of space; what else the block raises is its own.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        with _out_of_space(path):
            yield aside
        with writing(path):
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
    """A private, empty scratch folder (0700) that is gone when the block ends, also on Ctrl-C.

    What a killed run left is removed by the next one: a live run holds a lock beside its folder, and the kernel drops it.
    """
    root = private_dir(cache_dir() / "work")
    with writing(root), locked(root / ".lock"):  # nobody sweeps between the making of a run's folder and its lock
        _sweep(root)
        run = Path(tempfile.mkdtemp(prefix="run.", dir=root))
        lock = open_lock(run / "lock")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        scratch = run / "scratch"
        scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        shutil.rmtree(run, ignore_errors=True)
        os.close(lock)


def _sweep(root: Path) -> None:
    for run in list(root.glob("run.*")):
        try:
            lock = open_lock(run / "lock", os.O_RDWR)
        except FileNotFoundError:  # killed before it had one
            shutil.rmtree(run, ignore_errors=True)
            continue
        except OSError:  # not made by a run of ours
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # it lives
        else:
            shutil.rmtree(run, ignore_errors=True)
        finally:
            os.close(lock)


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file ``path`` (made where it is missing) as soon as no other process does; the kernel drops a killed one's.

    ``shared``: others may hold it as well, as long as all of them share it.

    Raises:
        OutputError: it cannot be made, or the file system has no locks.
    """
    with writing(path):
        lock = open_lock(path)
    try:
        with writing(path):
            fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def open_lock(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """A handle on the lock file ``path``, which is no link and this user's alone; the caller locks and closes it."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
