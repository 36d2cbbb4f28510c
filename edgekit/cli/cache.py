"""``edgekit cache``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .common import common_options, examples, print_json

if TYPE_CHECKING:
    from ..cache import Usage


@click.group(epilog=examples("edgekit cache show", "edgekit cache clear"))
def cache() -> None:
    """What the next run of the same model reuses: built candidates, and statistics of activations. Measurements are never kept."""


@cache.command()
@common_options
def show(as_json: bool) -> None:
    """Say how many candidates, models exported from PyTorch and statistics of activations are kept, and what they weigh."""
    from ..cache import usage
    from ..report.text import clean, size

    used = usage()
    if as_json:
        print_json(
            {
                "schema": "edgekit.cache/1",
                "path": str(used.path),
                "n_entries": used.n_entries,
                "n_ranges": used.n_ranges,
                "size_bytes": used.size_bytes,
            }
        )
    else:
        click.echo(f"{_contents(used)}, {size(used.size_bytes)}, in {clean(used.path.parent)}")


@cache.command()
@common_options
def clear(as_json: bool) -> None:
    """Remove all that is kept: candidates, exported models, statistics. Bundles and installs are not touched."""
    from ..cache import clear as clear_cache
    from ..report.text import size

    removed = clear_cache()
    if as_json:
        print_json(
            {
                "schema": "edgekit.cache/1",
                "path": str(removed.path),
                "removed_entries": removed.n_entries,
                "removed_ranges": removed.n_ranges,
                "removed_bytes": removed.size_bytes,
            }
        )
    else:
        click.echo(f"removed {_contents(removed)}, {size(removed.size_bytes)}")


def _contents(used: Usage) -> str:
    statistics = f", {used.n_ranges} statistics of activations" if used.n_ranges else ""
    return f"{used.n_entries} built candidates and exported models{statistics}"
