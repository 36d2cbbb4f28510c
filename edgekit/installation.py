"""``--install PATH``: bundles side by side under ``versions``, and ``current`` always names a whole one.

PATH/versions/<UTC time>-<hash8>/   verified copies
PATH/current                        link to the one in use, swung by rename
PATH/previous                       link to the one before, kept for a way back
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from .devices.plan import Timeouts
from .errors import IntegrityError, OutputError, UsageError
from .manifest import MANIFEST, SIGNATURE, CheckResult, check_bundle
from .state import new_folder, writing

if TYPE_CHECKING:
    from .devices.install import InstalledThere
    from .devices.inventory import Device
    from .progress import Progress

_VERSION = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8}")


@dataclass(frozen=True)
class Installed:
    """What is in use now, and what was before.

    ``changed`` is False when the same bundle was in use already; ``previous`` is None at the first install.
    """

    current: Path
    previous: Path | None
    changed: bool


def install(bundle: str | Path, path: str | Path) -> Installed:
    """Copy a verified bundle under ``path`` and make it the current one; readers see the old one or the new one, never a mixture.

    Exactly one previous version is kept. Installing what is in use already changes nothing; a damaged current version is replaced.

    Raises:
        IntegrityError: the bundle is not intact; nothing was changed.
        OutputError: ``path`` cannot be written, or holds something else under our names.
        UsageError: ``path`` lies in the bundle.
    """
    check_apart(bundle, path)
    checked = check_bundle(bundle)
    root = Path(path).absolute()
    versions = root / "versions"
    with writing(root):
        _refuse_foreign(root)
        versions.mkdir(parents=True, exist_ok=True)
        with _lock(versions):
            current, previous = _link_target(root, "current"), _link_target(root, "previous")
            if current is not None and _is_same(current, checked):
                return Installed(current, previous, changed=False)
            version = versions / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{checked.manifest_sha256[:8]}"
            _copy(checked, version)
            if current is not None:
                _swing(root / "previous", current)
            _swing(root / "current", version)
            _remove_others(versions, keep={version, current})
            return Installed(version, current, changed=True)


def check_apart(bundle: str | Path, path: str | Path) -> None:
    """Refuses to install a bundle into itself, where every file would be one that it does not list.

    Raises:
        UsageError: says so.
    """
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(bundle)):
        raise UsageError(
            f"{path} lies in the bundle {bundle}",
            why="a bundle holds only the files that it lists",
            hint="choose another folder with --install",
        )


def install_on_device(
    bundle: str | Path, device: Device, path: str, *, timeouts: Timeouts | None = None, progress: Progress | None = None
) -> InstalledThere:
    """As :func:`install`, on another machine: what is not there yet of a verified bundle is sent, then made current under ``path``.

    Args:
        path: absolute, or relative to the home of the device's user.

    Raises:
        IntegrityError: the bundle is not intact, or a file changed on the way; nothing was changed there.
        UsageError: ``path`` cannot be one to install to.
        DeviceUnavailableError: the device does not answer.
        DeviceRunError: ``path`` cannot be written there, holds something else under our names, or there is no room.
    """
    from .devices.install import check_path, install_on
    from .devices.session import AgentSession
    from .progress import Silent, WithinStep, shown_push

    check_path(path)
    checked = check_bundle(bundle)
    shown = WithinStep(progress or Silent())
    shown.stage(f"installing on {device.name}")
    files = {MANIFEST: checked.manifest_sha256, **{name: entry.sha256 for name, entry in checked.bundle.files.items()}}
    if checked.signature_sha256 is not None:
        files[SIGNATURE] = checked.signature_sha256
    with AgentSession(device.transport, {}, timeouts=timeouts or Timeouts()) as session:
        sending = shown_push(shown, lambda: session.sent_bytes)
        return install_on(session, checked.path, files, checked.manifest_sha256, path, sending)


def rollback(device: str | None, path: str) -> InstalledThere:
    """Makes the version before the current one under ``path`` current again, on a device by name (None: this machine).

    A second time goes forward again.

    Raises:
        UsageError, UnknownNameError: no such device, or no such path.
        DeviceUnavailableError: the device does not answer.
        DeviceRunError: nothing is installed there, or nothing was before.
    """
    from .devices.install import check_path, rollback_on
    from .devices.inventory import open_device
    from .devices.session import AgentSession

    there = open_device(device)
    place = str(Path(path).resolve()) if there.transport.shares_files else path
    check_path(place)
    with AgentSession(there.transport, {}) as session:
        return rollback_on(session, place)


def _refuse_foreign(root: Path) -> None:
    if os.path.lexists(root) and not root.is_dir():
        raise OutputError(f"{root} exists and is not a folder", hint="choose another with --install")
    versions = root / "versions"
    if os.path.lexists(versions) and (versions.is_symlink() or not versions.is_dir()):
        raise OutputError(f"{versions} is not a folder of ours", hint="choose another folder with --install")
    for name in ("current", "previous"):
        link = root / name
        if os.path.lexists(link) and not (link.is_symlink() and _is_version_link(str(link.readlink()))):
            raise OutputError(
                f"{link} was not made by an install", why="it is left alone", hint="choose another folder with --install"
            )


def _is_version_link(target: str) -> bool:
    folder, _, name = target.partition("/")
    return folder == "versions" and _VERSION.fullmatch(name) is not None


def _link_target(root: Path, name: str) -> Path | None:
    """The version that a link names, None where there is none or it has been removed by hand."""
    link = root / name
    if not link.is_symlink():
        return None
    target = root / link.readlink()
    return target if target.is_dir() else None


def _is_same(current: Path, checked: CheckResult) -> bool:
    try:
        return _identity(check_bundle(current)) == _identity(checked)
    except IntegrityError:  # damaged since it was installed: the copy that was just verified takes its place
        return False


def _identity(checked: CheckResult) -> tuple[str, str | None]:
    """A bundle that has been signed since is not the same any more."""
    return checked.manifest_sha256, checked.signature_sha256


def _copy(checked: CheckResult, version: Path) -> None:
    signature = () if checked.signature_sha256 is None else (SIGNATURE,)
    with new_folder(version) as folder:
        for name in (MANIFEST, *signature, *sorted(checked.bundle.files)):
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checked.path / name, copy)
            _flush(copy)
        copied = check_bundle(folder)  # the bundle may have changed between its check and its copy
        if _identity(copied) != _identity(checked):
            raise IntegrityError(f"{checked.path} changed while it was copied")
        _flush(folder)
    _flush(version.parent)


def _swing(link: Path, version: Path) -> None:
    aside = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    aside.unlink(missing_ok=True)
    aside.symlink_to(Path("versions") / version.name)
    try:
        aside.replace(link)
    finally:
        aside.unlink(missing_ok=True)
    _flush(link.parent)


def _remove_others(versions: Path, keep: set[Path | None]) -> None:
    """Older versions go, and what a killed install left half-copied; what does not look like ours stays."""
    for folder in versions.iterdir():
        is_version = _VERSION.fullmatch(folder.name) and (folder / MANIFEST).is_file()
        is_leftover = folder.name.startswith(".") and folder.name.endswith(".tmp") and _VERSION.match(folder.name, 1)
        if (is_version or is_leftover) and folder.is_dir() and not folder.is_symlink() and folder not in keep:
            shutil.rmtree(folder)


def _flush(path: Path) -> None:
    """On disk before a link names it: a power cut leaves the old version or the new one."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One install at a time; the folder itself is what is locked, so nothing is left behind."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
