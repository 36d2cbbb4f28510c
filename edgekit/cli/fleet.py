"""``deploy`` and ``profile`` on several devices at once: what is shown, and with which exit code that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .common import print_json

if TYPE_CHECKING:
    from ..fleet import FleetReport
    from ..progress import Progress


def run_fleet(ctx: click.Context, work: Callable[[Progress], FleetReport[Any]], *, as_json: bool) -> None:
    """Runs ``work`` and shows one row a device on stderr, or one document on stdout.

    Ends with the exit code of the first device, in the order in which they were named, that failed.
    """
    from ..fleet import fleet_document
    from ..report.fleet import print_fleet
    from ..report.progress import progress_on, stderr_console

    console = stderr_console()
    with progress_on(console, plain=True) as progress:  # one bar cannot show what several devices do
        fleet = work(progress)
    if as_json:
        print_json(fleet_document(fleet))
    else:
        print_fleet(fleet, console)
    if fleet.exit_code:
        ctx.exit(fleet.exit_code)
