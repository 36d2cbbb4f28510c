"""``edgekit.package``: a bundle in, a package out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..bundle_output import check_keeps
from ..errors import IntegrityError, UsageError
from ..integrity import FileEntry
from ..progress import Progress, Silent
from ..types import JSON, sha256_file
from ..values import to_json
from .formats import PackageFile, PackageOptions, check_options, get_format
from .manifest import manifest_of
from .source import PackageSource, read_source
from .writer import check_place, write_package


@dataclass(frozen=True)
class PackageReport:
    """What was written (``edgekit.package/1``).

    Attributes:
        files: every file of the package by its path. ``delivered``: those of them that reach an app.
        size_bytes: of all files. ``delivered_bytes``: of the delivered ones. ``model_bytes``: of the artifact alone.
        not_verified: what of such packages was neither compiled nor run where edgekit is tested.
    """

    format: str
    name: str
    version: str
    group: str
    output: str
    winner: str
    files: dict[str, FileEntry]
    delivered: tuple[str, ...]
    size_bytes: int
    delivered_bytes: int
    model_bytes: int
    bundle_sha256: str
    not_verified: tuple[str, ...]
    wall_s: float
    schema: str = "edgekit.package/1"

    def to_json(self) -> dict[str, JSON]:
        document: dict[str, JSON] = to_json(self)
        return document


def package(
    bundle: str | Path,
    *,
    format: str,  # noqa: A002  # the name of the option on the command line
    output: str | Path,
    name: str | None = None,
    version: str | None = None,
    group: str | None = None,
    labels: str | Path | None = None,
    force: bool = False,
    options: PackageOptions | None = None,
    progress: Progress | None = None,
) -> PackageReport:
    """Makes a package for an app of a bundle that :func:`edgekit.deploy` wrote. Nothing of the bundle is run.

    Args:
        bundle: the bundle's folder; it is verified first.
        format: android, ios, react-native or web.
        output: the package's folder.
        name: of the package, that of the model's file unless given: lower-case words with ``-``.
        version: ``1.0.0`` unless given.
        group: ``local.models`` unless given; Java's package and Maven's group.
        labels: a text file with one class a line, in the order of the first output.
        force: replace ``output`` if it exists.
        options: what only some formats take.
        progress: told what is going on; silent without one.

    Raises:
        UsageError: an option that makes no sense, or an artifact that the platform cannot run; the hint names the target to build.
        IntegrityError: the bundle is not intact. DataError: the labels do not fit. OutputError: ``output`` cannot be written.
        DependencyError: a compiler that the format needs is missing.
    """
    started = time.monotonic()
    progress, options = progress or Silent(), options or PackageOptions()
    chosen = get_format(format)
    check_options(chosen, options)
    out = check_place(Path(output), Path(bundle), force=force)
    check_keeps(out, [Path(labels)] if labels else [])
    progress.stage("verifying the bundle")
    source = read_source(Path(bundle), name=name, version=version, group=group, labels=Path(labels) if labels else None)
    refused = chosen.reject(source)
    if refused is not None:
        raise UsageError(refused.what, why=refused.why, hint=refused.instead)
    progress.stage(f"packaging {source.name} for {chosen.name}")
    files, delivered = write_package(
        out, _unchanged(chosen.files(source, options, progress), source), manifest_of(source, chosen.name)
    )
    return PackageReport(
        format=chosen.name,
        name=source.name,
        version=source.version,
        group=source.group,
        output=str(output),
        winner=source.winner.id,
        files=files,
        delivered=tuple(sorted(delivered)),
        size_bytes=sum(entry.size_bytes for entry in files.values()),
        delivered_bytes=sum(entry.size_bytes for entry in delivered.values()),
        model_bytes=source.model_bytes,
        bundle_sha256=source.bundle_sha256,
        not_verified=chosen.not_verified,
        wall_s=time.monotonic() - started,
    )


def _unchanged(files: Iterable[PackageFile], source: PackageSource) -> Iterator[PackageFile]:
    """``files``; the last of them only where the artifact is still what was verified, so that nothing else is ever in place."""
    yield from files
    for path, expected in source.artifact.files.items():
        if sha256_file(source.artifact_folder / path) != expected:
            raise IntegrityError(
                f"{path!r} changed while it was packaged", why="it is not what was verified", hint="package it again"
            )
