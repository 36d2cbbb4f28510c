"""``edgekit check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import common_options, examples, print_json

if TYPE_CHECKING:
    from ..targets import RuleFinding


@click.command(
    epilog=examples(
        "edgekit check model-onnx-edgekit/",
        "edgekit check --json /opt/models/ocr/current",
        "edgekit check model.onnx --target jetson",
    )
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--target", metavar="NAME", help="Check a model against the rules of this target's runtime: a plugin, a profile or its alias."
)
@common_options
def check(path: Path, target: str | None, as_json: bool) -> None:
    """Verify the bundle PATH: every listed file is there with its size and hash, and nothing else is.

    A bundle without a signature proves that nothing was damaged, not who made it. The exit code is 8 when anything differs.

    With --target, PATH is a model, and the rules of that target's runtime are checked on it, without building or sending
    anything: what the runtime refuses, and what it would silently compute differently. The exit code is 4 when it would.
    """
    if target is not None:
        _check_model(path, target, as_json=as_json)
    else:
        _check_bundle(path, as_json=as_json)


def _check_bundle(bundle: Path, *, as_json: bool) -> None:
    from ..bundle import check_bundle
    from ..errors import UsageError
    from ..report.text import clean, size

    if bundle.suffix in (".onnx", ".pt2") and bundle.is_file():
        raise UsageError(f"{bundle.name} is a model, not a bundle", hint=f"edgekit check {bundle} --target jetson, for example")
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


def _check_model(path: Path, name: str, *, as_json: bool) -> None:
    from ..checking import check_model

    checked = check_model(path, name)
    wrong = checked.errors
    if as_json:
        print_json(checked.to_json())
    else:
        _print_findings(path, checked.findings, checked.target, checked.profile)
    if wrong:
        raise SystemExit(4)


def _print_findings(path: Path, findings: tuple[RuleFinding, ...], target: str, profile: str) -> None:
    from ..report.text import clean

    for finding in findings:
        click.echo(f"{finding.severity}: {clean(str(finding))}")
        click.echo(f"  {clean(finding.fix)}")
    n_errors = sum(finding.severity == "error" for finding in findings)
    counts = f"{n_errors} errors, {len(findings) - n_errors} warnings" if findings else "nothing is said against it"
    click.echo(f"{clean(path)}: {counts} ({target}, {profile})")
