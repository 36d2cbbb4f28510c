"""What ``deploy``, ``build`` and ``demo`` do with a request: progress while it runs, the verdict after it."""

from __future__ import annotations

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
) -> DeployReport:
    """Deploys and shows the verdict: on stderr for people, or as one document on stdout.

    Raises:
        EdgekitError: as :func:`edgekit.api.deploy`; where nothing met the budget the table is shown first.
    """
    from rich.text import Text

    from ..api import deploy
    from ..errors import BudgetError
    from ..report.progress import progress_on, stderr_console
    from ..report.terminal import print_plan, print_report
    from ..report.text import clean
    from ..types import DeployReport
    from ..values import to_json

    console = stderr_console()
    try:
        with progress_on(console, plain=is_verbose(ctx)) as progress:
            report = deploy(
                request,
                output=output,
                force=force,
                install=install,
                allow_code=True,  # what was not typed has been refused before, unless --allow-code let it pass
                dry_run=dry_run,
                measure=measure,
                timeouts=timeouts,
                progress=progress,
            )
    except BudgetError as problem:
        if isinstance(problem.report, DeployReport):
            print_report(problem.report, console)
        raise
    if as_json:
        print_json(to_json(report))
    elif dry_run:
        print_plan(report, console)
    else:
        print_report(report, console)
        if install is not None:
            console.print(Text(f"Installed: {clean(install)}"), soft_wrap=True)
    return report
