"""``edgekit devices``: for now, this machine."""

from __future__ import annotations

import click

from .common import common_options, examples, print_json

LOCAL = "local"


@click.group(epilog=examples("edgekit devices list", "edgekit devices show local", "edgekit devices probe local --json"))
def devices() -> None:
    """The devices that edgekit can measure on."""


@devices.command("list")
@common_options
def list_devices(as_json: bool) -> None:
    """List devices by name and address. Nothing is contacted."""
    from ..devices import open_device
    from ..report.text import clean

    device = open_device(LOCAL)
    if as_json:
        print_json({"schema": "edgekit.devices/1", "devices": [{"name": device.name, "address": device.address}]})
    else:
        click.echo(f"{clean(device.name):<12} {clean(device.address):<24} this machine")


@devices.command()
@click.argument("name", default=LOCAL)
@common_options
def show(name: str, as_json: bool) -> None:
    """Show how a device is reached and which profile stands for it. Nothing is contacted."""
    from ..devices import open_device
    from ..profiles import machine_profile
    from ..report.text import clean, listing
    from ..values import to_json

    device, profile = open_device(name), machine_profile()
    if as_json:
        print_json({"schema": "edgekit.device/1", "name": device.name, "address": device.address, "profile": to_json(profile)})
        return
    click.echo(f"{clean(device.name)}: {clean(device.address)}")
    click.echo(f"  profile  {clean(profile.name)} ({profile.arch})")
    click.echo(f"  targets  {listing(profile.targets)}")


@devices.command()
@click.argument("name", default=LOCAL)
@common_options
def probe(name: str, as_json: bool) -> None:
    """Start the agent on a device and print what it reads there: CPU, memory, runtimes."""
    from ..devices import AgentSession, open_device
    from ..report.text import clean, listing, size
    from ..values import to_json

    device = open_device(name)
    with AgentSession(device.transport, {}) as session:
        facts = session.probe()
    if as_json:
        print_json({"schema": "edgekit.probe/1", "name": device.name, "address": device.address, "facts": to_json(facts)})
        return
    rows = {
        "device": f"{device.name} ({device.address}, {facts.kind})",
        "system": f"{facts.system} {facts.machine}, kernel {facts.kernel or 'unknown'}, Python {facts.python}",
        "cpu": f"{facts.cpu_model}, {facts.cores} cores",
        "features": listing(facts.cpu_features),
        "memory": f"{size(facts.memory_available_bytes)} available of {size(facts.memory_bytes)}",
        "governor": facts.governor or "cannot be read",
        "runtimes": listing(f"{name} {version}" for name, version in facts.runtimes.items()),
    }
    for label, text in rows.items():
        click.echo(f"{label:<9} {clean(text)}")
