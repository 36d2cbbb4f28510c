"""``edgekit check`` of a package that ``edgekit package`` wrote."""

from __future__ import annotations

import os
from pathlib import Path

import click

from .common import print_json


def is_package(path: Path) -> bool:
    """By the manifest that stands at the top."""
    from ..manifest import MANIFEST
    from ..packaging.manifest import PACKAGE_MANIFEST

    return os.path.lexists(path / PACKAGE_MANIFEST) and not os.path.lexists(path / MANIFEST)


def show_package(path: Path, *, asks_who: bool, as_json: bool) -> None:
    """Verify a package by its reduced manifest and say what it was made of.

    Args:
        asks_who: ``--signers`` or ``--identity`` was given.

    Raises:
        IntegrityError: it is not intact. UsageError: who signed what carries no signature was asked.
    """
    from ..errors import UsageError
    from ..packaging.manifest import check_package
    from ..report.text import brief, clean, size
    from ..values import to_json

    if asks_who:
        raise UsageError(
            f"{path} is a package, which carries no signature",
            why="what is signed is the bundle that it was made of",
            hint="check that bundle with --signers, and compare its manifest's sha256 with the one this package names",
        )
    result = check_package(path)
    manifest = result.manifest
    if as_json:
        print_json(
            {
                "schema": "edgekit.check-package/1",
                "path": str(path),
                "integrity": "ok",
                "origin": "unknown",
                "name": manifest.name,
                "version": manifest.version,
                "format": manifest.format,
                "winner": to_json(manifest.winner)["id"],
                "bundle": to_json(manifest.bundle),
                "manifest_sha256": result.manifest_sha256,
                "n_files": result.n_files,
                "size_bytes": result.size_bytes,
            }
        )
        return
    signature = manifest.bundle.signature
    signed = "it was not signed" if signature is None else f"it carried a signature by {signature.key_type} {signature.fingerprint}"
    click.echo(f"{clean(path)}: integrity ok, origin unknown")
    click.echo(f"  {brief(manifest.name)} {brief(manifest.version)} for {brief(manifest.format)}: {brief(manifest.winner.id)}")
    click.echo(f"  {result.n_files} files, {size(result.size_bytes)}, made by edgekit {brief(manifest.edgekit)}")
    click.echo(f"  of the bundle whose edgekit.json has the sha256 {brief(manifest.bundle.manifest_sha256)}; {brief(signed, 200)}")
