"""The kinds of package, by name. A format is an object that turns a :class:`PackageSource` into files; it writes nothing itself."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol, cast

from ..errors import UnknownNameError, UsageError
from ..progress import Progress
from ..types import Reject
from .source import PackageSource

#: Where each format lives: ``module:attribute``, loaded when it is asked for.
_HOMES = {
    "android": "edgekit.packaging.android:FORMAT",
    "ios": "edgekit.packaging.ios:FORMAT",
    "react-native": "edgekit.packaging.react_native:FORMAT",
    "web": "edgekit.packaging.web:FORMAT",
}
FORMATS = tuple(_HOMES)


@dataclass(frozen=True)
class PackageOptions:
    """What only some formats take; None and False mean the format's own default.

    Attributes:
        runtime_version: of the runtime that the package depends on.
        min_sdk: Android's API level that the package asks for.
        ort_format: store an ONNX model as ``.ort``, with the operators that a reduced build of ONNX Runtime needs.
        sources_only: leave out what needs a compiler.
    """

    runtime_version: str | None = None
    min_sdk: int | None = None
    ort_format: bool = False
    sources_only: bool = False

    def given(self) -> tuple[str, ...]:
        """The names of the options that are not at their default."""
        return tuple(entry.name for entry in fields(self) if getattr(self, entry.name) != entry.default)


@dataclass(frozen=True)
class PackageFile:
    """One file of a package. ``delivered``: it reaches the app (a README or a checksum does not)."""

    path: str
    content: bytes | Path
    delivered: bool = False


class Format(Protocol):
    """One kind of package.

    Attributes:
        name: as ``--format`` has it.
        options: the fields of :class:`PackageOptions` that it takes.
        not_verified: what of its packages was neither compiled nor run where edgekit is tested; shown after each run.
    """

    name: str
    options: frozenset[str]
    not_verified: tuple[str, ...]

    def reject(self, source: PackageSource) -> Reject | None:
        """Why the platform cannot run this artifact, and the target to build instead; None if it can."""

    def files(self, source: PackageSource, options: PackageOptions, progress: Progress) -> Iterable[PackageFile]:
        """The package, the same bytes for the same bundle and options; paths are relative, with ``/``."""


def get_format(name: str) -> Format:
    """The format of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in _HOMES:
        raise UnknownNameError("format", name, FORMATS)
    module, _, attribute = _HOMES[name].partition(":")
    return cast(Format, getattr(importlib.import_module(module), attribute))


def check_options(chosen: Format, options: PackageOptions) -> None:
    """Refuses an option that would have no effect.

    Raises:
        UsageError: names it.
    """
    for name in options.given():
        if name not in chosen.options:
            raise UsageError(f"--{name.replace('_', '-')} has no meaning with --format {chosen.name}")
