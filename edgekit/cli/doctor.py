"""``edgekit doctor``."""

from __future__ import annotations

import click

from .common import common_options, examples, print_json

MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@click.command(epilog=examples("edgekit doctor", "edgekit doctor --json"))
@common_options
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this installation and this machine.

    Looks at Python, the packages edgekit needs, optional extras, the CPU's features, clocks, memory and disk. Findings alone are no
    failure: the exit code is 3 only when something that edgekit's core needs is broken.
    """
    from dataclasses import asdict

    from ..doctor import diagnose
    from ..report.text import one_line

    findings = diagnose()
    if as_json:
        print_json({"schema": "edgekit.doctor/1", "findings": [asdict(finding) for finding in findings]})
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            click.echo(f"{MARKS[finding.level]}  {finding.subject:<{width}}  {one_line(finding.text)}")
            if finding.hint:
                click.echo(f"{'':<{width + 11}}hint: {finding.hint}")
    ctx.exit(3 if any(finding.broken for finding in findings) else 0)
