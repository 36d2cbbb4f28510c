"""The zipapp that travels to a device: ``__main__.py``, ``agent/`` and ``runners/<target>/*.py``. Same content, same bytes."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from ..errors import IntegrityError, UsageError
from ..integrity import hash_file
from ..state import cache_dir, private_dir, write_file
from ..types import Runner

_EPOCH = (1980, 1, 1, 0, 0, 0)
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_MAIN = b"""import sys

if sys.version_info < (3, 8):
    sys.exit("the edgekit agent needs Python 3.8 or later, this is %d.%d" % sys.version_info[:2])

from agent.main import main

sys.exit(main())
"""


def build_zipapp(runners: Mapping[str, Runner]) -> Path:
    """The agent with the runners' code, in the cache under the sha256 of its bytes.

    Args:
        runners: by target name; only ``code`` and ``entry`` matter here.

    Raises:
        UsageError: a runner whose files or names cannot be packed.
        OutputError: the cache cannot be written.
    """
    data = zipapp_bytes(runners)
    digest = hashlib.sha256(data).hexdigest()
    path = private_dir(cache_dir() / "agents") / f"{digest}.pyz"
    if not _is_intact(path, digest, len(data)):
        write_file(path, data, mode=0o600)
    return path


def _is_intact(path: Path, digest: str, size_bytes: int) -> bool:
    """Whether ``path`` is our own regular file with that content: it will be run. No link is followed."""
    try:
        if hash_file(path, size_bytes) != digest:
            return False
    except IntegrityError:  # missing, a link, or of another size: it is written anew
        return False
    there = path.lstat()
    return there.st_uid == os.getuid() and there.st_nlink == 1 and not stat.S_IMODE(there.st_mode) & 0o022


def zipapp_bytes(runners: Mapping[str, Runner]) -> bytes:
    """The zipapp as bytes; equal runners give equal bytes."""
    return packed({"__main__.py": _MAIN, **agent_sources(), **runner_sources(runners)})


def packed(members: Mapping[str, bytes]) -> bytes:
    """A zipapp of these files; equal ones give equal bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:  # stored: a board's Python may lack zlib
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return stream.getvalue()


def agent_sources() -> dict[str, bytes]:
    """The agent's modules by their path in a zipapp, under ``agent/``."""
    folder = resources.files("edgekit") / "agent"
    return {
        f"{name}/{file.name}": file.read_bytes()
        for name, each in (("agent", folder), ("agent/meters", folder / "meters"))
        for file in each.iterdir()
        if file.name.endswith(".py")
    }


def runner_sources(runners: Mapping[str, Runner]) -> dict[str, bytes]:
    """The runners' modules by their path in a zipapp, ``runners/<target>/*.py``.

    Raises:
        UsageError: a runner whose files or names cannot be packed.
    """
    sources: dict[str, bytes] = {}
    for target, runner in sorted(runners.items()):
        sources.update(_sources_of(target, runner))
    return sources


def _sources_of(target: str, runner: Runner) -> dict[str, bytes]:
    if not _TARGET_NAME.match(target):
        raise UsageError(f"target {target!r} cannot be packed for a device", why="its name would not make a folder name")
    sources: dict[str, bytes] = {}
    for path in runner.code:
        name = f"runners/{target}/{path.name}"
        if path.suffix != ".py" or not path.stem.isidentifier() or name in sources:
            raise UsageError(
                f"{path.name} of target {target!r} cannot be packed", why="runner code is Python modules with different names"
            )
        try:
            sources[name] = path.read_bytes()
        except OSError as problem:
            raise UsageError(f"runner code {path} of target {target!r} cannot be read", why=problem.strerror or "") from problem
    if not runner.entry.isidentifier() or f"runners/{target}/{runner.entry}.py" not in sources:
        raise UsageError(
            f"the runner of target {target!r} has no module {runner.entry!r}", why="Runner.entry names one of Runner.code"
        )
    return sources
