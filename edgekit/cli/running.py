"""What ``deploy``, ``build`` and ``demo`` do with a request: progress while it runs, the verdict after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import is_verbose, print_json

if TYPE_CHECKING:
    from ..devices.plan import Timeouts
    from ..request import DeployRequest
    from ..types import DeployReport


def run_deploy(
    ctx: click.Context,
    request: DeployRequest,
    *,
    output: Path,
    force: bool,
    install: Path | None,
    dry_run: bool,
    measure: bool,
    as_json: bool,
    timeouts: Timeouts,
    trust_model: bool = False,
    from_bundle: Path | None = None,
) -> DeployReport:
    """Deploys and shows the verdict: on stderr for people, or as one document on stdout.

    What differs from the run that made ``from_bundle`` is added to the warnings.

    Raises:
        EdgekitError: as :func:`edgekit.api.deploy`; where nothing met the budget the table is shown first.
    """
    from rich.text import Text

    from ..api import deploy
    from ..bundle import read_bundle
    from ..errors import BudgetError
    from ..repeat import differences
    from ..report.progress import progress_on, stderr_console
    from ..report.terminal import print_plan, print_report
    from ..report.text import clean
    from ..types import DeployReport
    from ..values import to_json

    console = stderr_console()
    recorded = read_bundle(from_bundle) if from_bundle is not None else None  # before it may be replaced
    try:
        with progress_on(console, plain=is_verbose(ctx)) as progress:
            report = deploy(
                request,
                output=output,
                force=force,
                install=install,
                allow_code=True,  # what was not typed has been refused before, unless --allow-code let it pass
                trust_model=trust_model,
                dry_run=dry_run,
                measure=measure,
                timeouts=timeouts,
                progress=progress,
            )
    except BudgetError as problem:
        if isinstance(problem.report, DeployReport):
            print_report(problem.report, console)
        raise
    if recorded is not None:
        report = replace(report, warnings=(*report.warnings, *differences(recorded, report)))
    if as_json:
        print_json(to_json(report))
    elif dry_run:
        print_plan(report, console)
    else:
        print_report(report, console)
        if install is not None:
            console.print(Text(f"Installed: {clean(install)}{_where(report)}"), soft_wrap=True)
    return report


def _where(report: DeployReport) -> str:
    """Where it was installed, if that is not this machine."""
    from ..report.text import clean

    device = report.device or {}
    return f" on {clean(device['name'])}" if device.get("address", "local") != "local" else ""
