"""``edgekit devices``: the inventory of devices, and what they say of themselves. Longer commands have modules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .common import common_options, examples, print_json
from .device_rows import kept_entry, print_rows, probe_rows, probed
from .devices_add import add
from .devices_rollback import rollback
from .devices_setup import doctor, setup

if TYPE_CHECKING:
    from ..types import Profile

LOCAL = "local"


@click.group(
    epilog=examples(
        "edgekit devices add lab-pi5 ssh://edge@pi5.local --label board=pi5",
        "edgekit devices doctor lab-pi5",
        "edgekit devices probe lab-pi5 --json",
        "edgekit deploy model.onnx --target auto --device lab-pi5",
        "edgekit deploy model.onnx --target auto --device label:board=pi5",
    )
)
def devices() -> None:
    """The devices that edgekit can measure on: this machine, and those that are added here.

    They are kept in devices.toml in your configuration folder. --device also takes an ssh:// address that is not kept.
    """


devices.add_command(doctor)
devices.add_command(setup)
devices.add_command(rollback)


@devices.command("list")
@common_options
def list_devices(as_json: bool) -> None:
    """List devices by name and address. Nothing is contacted."""
    from ..devices.store import DeviceEntry, load_entries
    from ..report.text import clean

    kept = load_entries()
    entries = {LOCAL: kept.get(LOCAL, DeviceEntry(LOCAL))} | kept
    if as_json:
        print_json({"schema": "edgekit.devices/1", "devices": [kept_entry(name, entry) for name, entry in entries.items()]})
        return
    width = max(len(name) for name in entries)
    addresses = max(len(entry.address) for entry in entries.values())
    for name, entry in entries.items():
        said = [entry.profile or ("this machine" if name == LOCAL else ""), *(f"{k}={v}" for k, v in entry.labels.items())]
        click.echo(clean(f"{name:<{width}}  {entry.address:<{addresses}}  {'  '.join(filter(None, said))}").rstrip())


@devices.command()
@click.argument("name", default=LOCAL)
@common_options
def show(name: str, as_json: bool) -> None:
    """Show how a device is reached and what is kept of it. Nothing is contacted."""
    from ..devices import open_device
    from ..profiles import get_profile, machine_profile
    from ..report.text import clean, listing
    from ..values import to_json

    device = open_device(name)
    profile: Profile | None = None
    if device.profile is not None:
        profile = get_profile(device.profile)
    elif device.address == LOCAL:
        profile = machine_profile()
    if as_json:
        kept = {"python": device.python, "labels": dict(device.labels), "meter": device.meter, "become": list(device.become)}
        print_json(
            {
                "schema": "edgekit.device/1",
                "name": device.name,
                "address": device.address,
                "profile": None if profile is None else to_json(profile),
                **kept,
            }
        )
        return
    rows = {
        "address": device.address,
        "profile": f"{profile.name} ({profile.arch})" if profile else "the closest to what its probe says",
        "targets": listing(profile.targets) if profile else "",
        "python": device.python,
        "labels": listing(f"{key}={value}" for key, value in device.labels.items()) if device.labels else "",
        "meter": device.meter or "",
        "become": " ".join(device.become),
    }
    click.echo(f"{clean(device.name)}:")
    print_rows(rows, indent="  ")


devices.add_command(add)


@devices.command()
@click.argument("name")
@common_options
def remove(name: str, as_json: bool) -> None:
    """Forget a device. Nothing is contacted, and what lies on it stays there."""
    from ..devices.store import remove_entry
    from ..report.text import clean

    entry = remove_entry(name)
    if as_json:
        print_json({"schema": "edgekit.device-remove/1", "removed": kept_entry(name, entry)})
    else:
        click.echo(f"Removed {clean(name)} ({clean(entry.address)})")


@devices.command()
@click.argument("name", default=LOCAL)
@common_options
def probe(name: str, as_json: bool) -> None:
    """Start the agent on a device and print what it reads there.

    Board, CPU, memory, disk, runtimes, governors, thermal zones, power sensors, and the closest device profile.
    """
    from ..devices import open_device
    from ..profiles import closest_profile
    from ..values import to_json

    device = open_device(name)
    facts = probed(device)
    closest = closest_profile(facts)
    if as_json:
        document = {"schema": "edgekit.probe/1", "name": device.name, "address": device.address, "facts": to_json(facts)}
        print_json({**document, "closest_profile": None if closest is None else closest.name})
    else:
        print_rows(probe_rows(device, facts, closest))
