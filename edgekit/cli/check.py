"""``edgekit check``."""

from __future__ import annotations

from pathlib import Path

import click

from .common import common_options, examples, print_json


@click.command(epilog=examples("edgekit check model-onnx-edgekit/", "edgekit check --json /opt/models/ocr/current"))
@click.argument("bundle", type=click.Path(path_type=Path))
@common_options
def check(bundle: Path, as_json: bool) -> None:
    """Verify BUNDLE: every listed file is there with its size and hash, and nothing else is.

    A bundle without a signature proves that nothing was damaged, not who made it. The exit code is 8 when anything differs.
    """
    from ..bundle import check_bundle
    from ..report.text import clean, size

    result = check_bundle(bundle)
    winner = result.bundle.winner
    if as_json:
        print_json(
            {
                "schema": "edgekit.check/1",
                "path": str(bundle),
                "integrity": "ok",
                "origin": result.origin,
                "manifest_sha256": result.manifest_sha256,
                "n_files": result.n_files,
                "size_bytes": result.size_bytes,
                "winner": None if winner is None else {"id": winner.id, "provisional": winner.provisional},
            }
        )
        return
    click.echo(f"{clean(bundle)}: {result.message}")
    click.echo(f"  {result.n_files} files, {size(result.size_bytes)}, made by edgekit {clean(result.bundle.edgekit)}")
    if winner is not None:
        click.echo(
            f"  {clean(winner.id)}{' (provisional)' if winner.provisional else ''} for {clean(result.bundle.report.profile)}"
        )
    click.echo(f"  sha256 of edgekit.json: {result.manifest_sha256}")
