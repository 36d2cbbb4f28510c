"""``edgekit check MODEL --target``: what a target's runtime would refuse or bend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import print_json

if TYPE_CHECKING:
    from ..targets import RuleFinding


def show_findings(path: Path, name: str, *, as_json: bool) -> None:
    """Prints the findings, and exits with 4 where one of them is an error."""
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
    from ..report.text import clean, one_line

    for finding in findings:
        click.echo(f"{finding.severity}: {one_line(finding)}")
        click.echo(f"  {one_line(finding.fix)}")
    n_errors = sum(finding.severity == "error" for finding in findings)
    counts = f"{n_errors} errors, {len(findings) - n_errors} warnings" if findings else "nothing is said against it"
    click.echo(f"{clean(path)}: {counts} ({target}, {profile})")
