"""``edgekit targets``."""

from __future__ import annotations

from typing import Any

import click

from .common import common_options, examples, print_json


@click.command(epilog=examples("edgekit targets", "edgekit targets --json"))
@common_options
def targets(as_json: bool) -> None:
    """List what --target takes: target plugins, device profiles and their aliases."""
    document = describe_targets()
    if as_json:
        print_json(document)
        return
    from ..report.text import one_line

    click.echo("Targets:")
    for target in document["targets"]:
        click.echo(f"  {target['name']:<20} version {one_line(target['version'])}")
    click.echo("\nDevice profiles (the first target is what the profile's name alone stands for):")
    for profile in document["profiles"]:
        names = f"{profile['name']} ({', '.join(profile['aliases'])})" if profile["aliases"] else profile["name"]
        listed = ", ".join(
            one_line(target) + ("" if target in profile["installed"] else " (not installed)") for target in profile["targets"]
        )
        click.echo(f"  {one_line(names)}")
        click.echo(f"      {profile['arch']}: {listed}{'; this machine' if profile['this_machine'] else ''}")
    click.echo("\nauto: every installed target of the device's profile")


def describe_targets() -> dict[str, Any]:
    """The ``edgekit.targets/1`` document: no path in it, so that two installations can be compared."""
    from ..errors import UnknownNameError
    from ..profiles import load_profiles, machine_profile
    from ..targets import registry

    installed = registry()
    try:
        here = machine_profile().name
    except UnknownNameError:
        here = ""  # no profile is general enough for this machine's architecture
    return {
        "schema": "edgekit.targets/1",
        "targets": [{"name": name, "version": target.version} for name, target in sorted(installed.items())],
        "profiles": [
            {
                "name": profile.name,
                "aliases": list(profile.aliases),
                "family": profile.family,
                "arch": profile.arch,
                "targets": list(profile.targets),
                "installed": [target for target in profile.targets if target in installed],
                "this_machine": profile.name == here,
            }
            for profile in load_profiles().values()
        ],
    }
