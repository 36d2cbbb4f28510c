"""``edgekit cache``."""

from __future__ import annotations

import click

from .common import common_options, examples, print_json


@click.group(epilog=examples("edgekit cache show", "edgekit cache clear"))
def cache() -> None:
    """Built candidates that the next run of the same model reuses. Measurements are never kept."""


@cache.command()
@common_options
def show(as_json: bool) -> None:
    """Say how many candidates and models exported from PyTorch are kept, and what they weigh."""
    from ..cache import usage
    from ..report.text import clean, size

    used = usage()
    if as_json:
        print_json(
            {"schema": "edgekit.cache/1", "path": str(used.path), "n_entries": used.n_entries, "size_bytes": used.size_bytes}
        )
    else:
        click.echo(f"{used.n_entries} built candidates and exported models, {size(used.size_bytes)}, in {clean(used.path)}")


@cache.command()
@common_options
def clear(as_json: bool) -> None:
    """Remove every built candidate and every model exported from PyTorch. Bundles and installs are not touched."""
    from ..cache import clear as clear_cache
    from ..report.text import size

    removed = clear_cache()
    if as_json:
        print_json(
            {
                "schema": "edgekit.cache/1",
                "path": str(removed.path),
                "removed_entries": removed.n_entries,
                "removed_bytes": removed.size_bytes,
            }
        )
    else:
        click.echo(f"removed {removed.n_entries} built candidates and exported models, {size(removed.size_bytes)}")
