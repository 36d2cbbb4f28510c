"""``edgekit devices rollback``: the way back from ``deploy --install``."""

from __future__ import annotations

import click

from .common import common_options, examples, print_json


@click.command(epilog=examples("edgekit devices rollback lab-pi5 models/digits"))
@click.argument("name")
@click.argument("path")
@common_options
def rollback(name: str, path: str, as_json: bool) -> None:
    """Go back to the bundle that was installed under PATH on a device before the current one.

    PATH is that of `deploy --install`. Only the link moves; a second time goes forward again.
    """
    from ..installation import rollback as roll_back
    from ..report.text import clean

    installed = roll_back(name, path)
    if as_json:
        print_json({"schema": "edgekit.rollback/1", "device": name, "current": installed.current, "previous": installed.previous})
    else:
        click.echo(f"Current on {clean(name)}: {clean(installed.current)}")
        click.echo(f"  before: {clean(installed.previous)}")
