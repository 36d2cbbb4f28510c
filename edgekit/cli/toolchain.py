"""``edgekit toolchain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .common import common_options, examples, is_verbose, print_json

if TYPE_CHECKING:
    from ..toolchain import Status


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from ..toolchain import toolchains

    del ctx, param
    return [name for name in toolchains() if name.startswith(incomplete)]


_NAME = click.argument("name", shell_complete=_names)


@click.group(epilog=examples("edgekit toolchain list", "edgekit toolchain install onnx2tf"))
def toolchain() -> None:
    """Converters whose packages must not touch yours: each in an environment of its own, made from a lock on first need."""


@toolchain.command("list")
@common_options
def list_(as_json: bool) -> None:
    """List the toolchains, and which of them are installed."""
    from ..report.text import size
    from ..toolchain import status, toolchains

    found = [status(each) for each in toolchains().values()]
    if as_json:
        print_json({"schema": "edgekit.toolchains/1", "toolchains": [_document(each) for each in found]})
        return
    for each in found:
        weight = f", {size(each.size_bytes)}" if each.size_bytes is not None else ""
        click.echo(f"{each.toolchain.name}: {each.state}{weight}; {each.toolchain.about}")


@toolchain.command()
@_NAME
@common_options
def show(name: str, as_json: bool) -> None:
    """Say what a toolchain is made of, whether it is installed and whole, and where."""
    from ..report.text import clean, size
    from ..toolchain import get_toolchain, status

    found = status(get_toolchain(name))
    if as_json:
        print_json({"schema": "edgekit.toolchain/1", **_document(found)})
        return
    click.echo(f"{name} {found.toolchain.about}")
    click.echo(f"state: {found.state}" + (f", {size(found.size_bytes)}" if found.size_bytes is not None else ""))
    if found.path is not None:
        click.echo(f"folder: {clean(found.path)}")
    click.echo(f"packages: {', '.join(found.toolchain.packages)}")
    click.echo(f"locks: {', '.join(found.toolchain.platforms)}")


@toolchain.command()
@_NAME
@common_options
@click.pass_context
def install(ctx: click.Context, name: str, as_json: bool) -> None:
    """Make a toolchain now, or again where it is damaged, so that later runs can work offline."""
    from pathlib import Path

    from ..config import load_config
    from ..report.progress import progress_on, stderr_console
    from ..report.text import size
    from ..toolchain import ensure, get_toolchain, policy, status

    wanted = get_toolchain(name)
    timeout_s = load_config(Path.cwd()).timeouts.toolchain_s
    with (
        progress_on(stderr_console(), plain=is_verbose(ctx)) as progress,
        policy(timeout_s=timeout_s, progress=progress),
        ensure(wanted),
    ):
        pass
    found = status(wanted)
    if as_json:
        print_json({"schema": "edgekit.toolchain/1", **_document(found)})
    else:
        click.echo(f"{name} is installed, {size(found.size_bytes or 0)}")


@toolchain.command()
@_NAME
@common_options
def remove(name: str, as_json: bool) -> None:
    """Remove a toolchain, and what older versions of it left. Waits for a run that is using it."""
    from ..report.text import size
    from ..toolchain import get_toolchain
    from ..toolchain import remove as remove_toolchain

    freed_bytes = remove_toolchain(get_toolchain(name))
    if as_json:
        print_json({"schema": "edgekit.toolchain-remove/1", "name": name, "removed_bytes": freed_bytes})
    else:
        click.echo(f"removed {name}, {size(freed_bytes)}" if freed_bytes else f"{name} was not installed")


def _document(found: Status) -> dict[str, Any]:
    return {
        "name": found.toolchain.name,
        "about": found.toolchain.about,
        "state": found.state,
        "path": str(found.path) if found.path is not None else None,
        "size_bytes": found.size_bytes,
        "lock_sha256": found.lock_sha256,
        "packages": list(found.toolchain.packages),
        "platforms": list(found.toolchain.platforms),
    }
