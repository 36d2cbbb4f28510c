"""``--install`` on a device that is another machine, and the way back.

The agent (``edgekit/agent/install.py``) does there what ``edgekit/installation.py`` does here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import DeviceRunError, UsageError
from .text import clean

if TYPE_CHECKING:
    from pathlib import Path

    from .connection import Progress
    from .session import AgentSession


@dataclass(frozen=True)
class InstalledThere:
    """Paths on the device: what is in use now, and what was before (None at the first install).

    ``changed`` is False when the same bundle was in use already.
    """

    current: str
    previous: str | None
    changed: bool


def check_path(path: str) -> None:
    """Refuses, before anything is done, what can be no place to install to on a device.

    Raises:
        UsageError: says how one is written.
    """
    plain = path.removeprefix("~/")
    if not plain.strip("/.") or ".." in plain.split("/") or plain.startswith("~") or not path.isprintable():
        raise UsageError(
            f"{path!r} is no folder to install to on a device", hint="give an absolute path, or one in the home of the user there"
        )


def install_on(
    session: AgentSession, folder: Path, files: Mapping[str, str], bundle_sha256: str, path: str, progress: Progress | None = None
) -> InstalledThere:
    """Sends what the device does not have of a bundle that was just checked, and makes it current under ``path`` there.

    Args:
        folder: the bundle on this machine.
        files: ``{relative path: sha256}`` of everything in it.
        bundle_sha256: of its manifest; part of the version's name.
        path: absolute, or relative to the home of the device's user.

    Raises:
        DeviceRunError: ``path`` cannot be used, or the device has no room.
        IntegrityError: a file changed on the way; nothing was changed there.
    """
    session.push(folder, files, progress)
    version = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{bundle_sha256[:8]}"
    size_bytes = sum((folder / name).stat().st_size for name in files)
    fields = {"path": path, "version": version, "files": dict(files)}
    return _installed(session.request("install", fields, size_bytes=size_bytes))


def rollback_on(session: AgentSession, path: str) -> InstalledThere:
    """Makes the version before the current one under ``path`` current again; a second time goes forward again.

    Raises:
        DeviceRunError: nothing is installed there, or nothing was before.
    """
    return _installed(session.request("rollback", {"path": path}))


def _installed(answer: Mapping[str, Any]) -> InstalledThere:
    try:
        previous = answer["previous"]
        return InstalledThere(
            clean(answer["current"], 2000), None if previous is None else clean(previous, 2000), answer["changed"] is True
        )
    except KeyError as problem:
        raise DeviceRunError("the agent's answer to an install is not understood", why=f"it has no {problem}") from problem
