"""Which toolchains there are, and what is in them: package data under ``edgekit/_toolchains/``.

Each is a folder: ``toolchain.toml`` says what it is for, and for each Python and platform there is a lock, a requirements file of
exact versions with the hash of the one wheel that fits. ``scripts/lock_toolchain`` writes the locks.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .errors import DependencyError, UnknownNameError

_FOLDER = Path(__file__).with_name("_toolchains")
_SCHEMA = 1
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Toolchain:
    """A set of packages that must not share an environment with the user's.

    Attributes:
        folder: where its ``toolchain.toml`` and its locks lie.
        about: what it does, a verb first.
        size_bytes: of the installed packages, about.
        ignore_requires_python: its packages are known to work on Pythons that they do not declare.
        imports: modules that must be importable once it is made.
        packages: what a lock is made of, as ``name==version``.
    """

    name: str
    folder: Path
    about: str
    size_bytes: int
    ignore_requires_python: bool
    imports: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def lock(self) -> Path | None:
        """The lock for the Python that is running, on this platform; None where there is none."""
        path = self.folder / f"{this_platform()}.txt"
        return path if path.is_file() else None

    @property
    def platforms(self) -> tuple[str, ...]:
        """What it has locks for."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.txt")))


def read_toolchain(folder: Path) -> Toolchain:
    """The toolchain that ``folder`` describes."""
    table = tomllib.loads((folder / "toolchain.toml").read_text("utf-8"))
    assert table["schema"] == _SCHEMA, f"{folder.name}: schema {table['schema']}"
    return Toolchain(
        name=folder.name,
        folder=folder,
        about=table["about"],
        size_bytes=table["size_bytes"],
        ignore_requires_python=table.get("ignore_requires_python", False),
        imports=tuple(table["imports"]),
        packages=tuple(table["packages"]),
    )


@functools.cache
def toolchains() -> dict[str, Toolchain]:
    """All toolchains by name."""
    return {path.parent.name: read_toolchain(path.parent) for path in sorted(_FOLDER.glob("*/toolchain.toml"))}


def get_toolchain(name: str) -> Toolchain:
    """The toolchain called ``name``.

    Raises:
        UnknownNameError: with the nearest names.
    """
    known = toolchains()
    if name not in known:
        raise UnknownNameError("toolchain", name, sorted(known))
    return known[name]


def lock_sha256(toolchain: Toolchain) -> str:
    """What identifies the toolchain on this machine: its name, its description and its lock.

    Raises:
        DependencyError: there is no lock for this Python and platform.
    """
    lock = toolchain.lock
    if lock is None:
        raise DependencyError(
            f"the toolchain {toolchain.name} is not available here",
            why=f"it has no lock for {this_platform()}",
            hint=f"run edgekit with one of: {', '.join(toolchain.platforms)}",
        )
    total = hashlib.sha256(f"edgekit-toolchain/1 {toolchain.name}\n".encode())
    for path in (toolchain.folder / "toolchain.toml", lock):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def this_platform() -> str:
    """The Python that is running and what it runs on, for example ``cp311-linux-x86_64``."""
    machine = platform.machine().lower()
    system = {"darwin": "macos"}.get(sys.platform, sys.platform)
    if sys.maxsize <= 1 << 32:  # a 32-bit Python on a 64-bit kernel
        machine = "32bit"
    elif system == "linux" and platform.libc_ver()[0] != "glibc":
        system = "linux-musl"  # wheels are for the GNU C library
    return f"{_interpreter()}-{system}-{_ARCHITECTURES.get(machine, machine)}"


def _interpreter() -> str:
    short = "cp" if sys.implementation.name == "cpython" else sys.implementation.name
    free_threaded = "t" if "t" in sys.abiflags else ""
    return f"{short}{sys.version_info.major}{sys.version_info.minor}{free_threaded}"
