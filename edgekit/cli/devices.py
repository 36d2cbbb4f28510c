"""``edgekit devices``: the inventory of devices, and what they say of themselves. Doctor and setup are in ``devices_setup``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import common_options, examples, print_json
from .devices_rollback import rollback
from .devices_setup import doctor, setup

if TYPE_CHECKING:
    from ..devices import Device
    from ..devices.store import DeviceEntry
    from ..types import DeviceFacts, Profile

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
        print_json({"schema": "edgekit.devices/1", "devices": [_kept(name, entry) for name, entry in entries.items()]})
        return
    width = max(len(name) for name in entries)
    addresses = max(len(entry.address) for entry in entries.values())
    for name, entry in entries.items():
        said = [entry.profile or ("this machine" if name == LOCAL else ""), *(f"{k}={v}" for k, v in entry.labels.items())]
        click.echo(clean(f"{name:<{width}}  {entry.address:<{addresses}}  {'  '.join(filter(None, said))}").rstrip())


def _kept(name: str, entry: DeviceEntry) -> dict[str, Any]:
    return {
        "name": name,
        "address": entry.address,
        "profile": entry.profile,
        "python": entry.python,
        "labels": dict(entry.labels),
        "meter": entry.meter,
        "become": list(entry.become),
    }


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
    _print_rows(rows, indent="  ")


def _print_rows(rows: dict[str, str], indent: str = "") -> None:
    from ..report.text import clean

    width = max(len(label) for label in rows)
    for label, text in rows.items():
        if text:
            click.echo(f"{indent}{label:<{width}}  {clean(text)}")


@devices.command()
@click.argument("name")
@click.argument("address", required=False)
@click.option("--profile", metavar="P", help="The device profile that stands for it.  [default: the closest to what it says]")
@click.option(
    "--label", "labels", multiple=True, metavar="KEY=VALUE", help="What --device label:KEY=VALUE selects it by. Repeatable."
)
@click.option("--meter", metavar="M", help="An energy meter that is not found by itself (docs/energy.md).")
@click.option("--python", metavar="PATH", help="The Python of its agent, 3.8 or later.  [default: python3]")
@click.option("--become", metavar="WORDS", help='What goes before a command that needs root there, such as "sudo -n".')
@click.option("--update", is_flag=True, help="Change what is given of a device that is kept already; the rest stays.")
@click.option("--no-probe", is_flag=True, help="Keep it without connecting.")
@common_options
def add(
    name: str, address: str | None, profile: str | None, labels: tuple[str, ...], meter: str | None, python: str | None,
    become: str | None, update: bool, no_probe: bool, as_json: bool,
) -> None:  # fmt: skip
    """Keep a device under a name.

    ADDRESS is ssh://[user@]host[:port]; host may be an alias of ~/.ssh/config, from where keys and jump hosts are taken. The device
    is contacted once, and its closest profile is named.
    """
    from ..devices.store import save_entry
    from ..report.text import clean, one_line
    from ..values import to_json

    given = {"address": address, "profile": profile, "labels": labels, "meter": meter, "python": python, "become": become}
    entry = _entry(name, given, update=update)
    facts, closest = (None, None) if no_probe else _closest(name, entry)
    save_entry(name, entry, replace=update)
    if as_json:
        closest_name = None if closest is None else closest.name
        document = {"schema": "edgekit.device-add/1", "device": _kept(name, entry), "closest_profile": closest_name}
        print_json({**document, "facts": None if facts is None else to_json(facts)})
        return
    click.echo(f"{'Updated' if update else 'Added'} {clean(name)}: {clean(entry.address)}")
    if facts is None:
        return
    click.echo(f"  board    {one_line(facts.board or 'it does not say')} ({facts.kind})")
    if entry.profile is not None:
        click.echo(f"  profile  {clean(entry.profile)}")
    elif closest is not None:
        click.echo(f"  profile  {clean(closest.name)}, the closest; --profile names another")
    else:
        click.echo(f"  profile  none fits: {clean(facts.machine)}, {facts.address_bits}-bit")
    click.echo(f"  next     edgekit devices doctor {clean(name)}")


def _entry(name: str, given: dict[str, Any], *, update: bool) -> DeviceEntry:
    """The entry to keep, of what was typed and, with ``update``, of what is kept already."""
    import shlex
    from dataclasses import asdict

    from ..devices.meters import parse_meter
    from ..devices.store import DeviceEntry, check_name, load_entries
    from ..errors import UnknownNameError, UsageError
    from ..profiles import get_profile

    typed = {key: value for key, value in given.items() if value not in (None, ())}
    if "labels" in typed:
        typed["labels"] = dict(_label(label) for label in typed["labels"])
    if "become" in typed:
        try:
            typed["become"] = tuple(shlex.split(typed["become"]))
        except ValueError as problem:
            raise UsageError(f"become {typed['become']!r} is not understood", why=str(problem)) from problem
    if "profile" in typed:
        typed["profile"] = get_profile(typed["profile"]).name
    if "meter" in typed:
        parse_meter(typed["meter"])
    kept = load_entries()
    if update:
        if name not in kept:
            raise UnknownNameError("device", name, list(kept))
        typed = {**asdict(kept[name]), **typed}
    elif name in kept:
        hint = "--update changes what is given and keeps the rest"
        raise UsageError(f"there is a device {name!r} already", why=f"it is {kept[name].address}", hint=hint)
    if "address" not in typed:
        raise UsageError("a new device needs an address", hint=f"edgekit devices add {name} ssh://[user@]host[:port]")
    entry = DeviceEntry(**typed)
    check_name(name, entry.address)
    return entry


def _label(text: str) -> tuple[str, str]:
    from ..errors import UsageError

    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"label {text!r} is not understood", hint="write key=value, such as board=pi5")
    return key, value


def _closest(name: str, entry: DeviceEntry) -> tuple[DeviceFacts, Profile | None]:
    """What the device says, and the profile that comes closest to it.

    Raises:
        DeviceUnavailableError: it cannot be reached; says how to keep it all the same.
        UsageError: it is not what ``--profile`` says.
    """
    from ..devices.inventory import device_of
    from ..errors import DeviceUnavailableError
    from ..profiles import closest_profile, get_profile, require_match

    try:
        facts = _probe(device_of(name, entry))
    except DeviceUnavailableError as problem:
        hint = f"{problem.hint}; or keep it without connecting: --no-probe".removeprefix("; or ")
        raise DeviceUnavailableError(problem.what, why=problem.why, hint=hint) from problem
    if entry.profile is not None:
        require_match(get_profile(entry.profile), facts, name)
    return facts, closest_profile(facts)


def _probe(device: Device) -> DeviceFacts:
    from ..config import load_config
    from ..devices import AgentSession

    timeouts = load_config(Path.cwd()).timeouts
    with AgentSession(device.transport, {}, timeouts=timeouts, become=device.become) as session:
        return session.probe()


@devices.command()
@click.argument("name")
@common_options
def remove(name: str, as_json: bool) -> None:
    """Forget a device. Nothing is contacted, and what lies on it stays there."""
    from ..devices.store import remove_entry
    from ..report.text import clean

    entry = remove_entry(name)
    if as_json:
        print_json({"schema": "edgekit.device-remove/1", "removed": _kept(name, entry)})
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
    facts = _probe(device)
    closest = closest_profile(facts)
    if as_json:
        document = {"schema": "edgekit.probe/1", "name": device.name, "address": device.address, "facts": to_json(facts)}
        print_json({**document, "closest_profile": None if closest is None else closest.name})
    else:
        _print_rows(_probe_rows(device, facts, closest))


def _jetson_rows(facts: DeviceFacts) -> dict[str, str]:
    """What only a Jetson has."""
    from ..report.text import listing

    jetson = facts.jetson
    if jetson is None:
        return {}
    modes = f"; available: {listing(jetson.power_modes)}" if jetson.power_modes else ""
    clock = jetson.gpu_clock_hz
    locked = "locked" if jetson.clocks_locked else "free"
    return {
        "jetpack": f"{jetson.jetpack or 'unknown'} (L4T {jetson.l4t or 'unknown'})",
        "power mode": (jetson.power_mode or jetson.reasons.get("power_mode", "unknown")) + modes,
        "gpu clock": jetson.reasons.get("clocks", "unknown")
        if clock is None
        else f"{clock[0] / 1e6:g} to {clock[1] / 1e6:g} MHz, {locked}",
    }


def _probe_rows(device: Device, facts: DeviceFacts, closest: Profile | None) -> dict[str, str]:
    from ..report.text import listing, size

    governors = [f"{policy.governor or 'unreadable'} on {policy.cpus or policy.name}" for policy in facts.policies]
    available = sorted({name for policy in facts.policies for name in policy.available})
    sensors = [f"{sensor.name} ({sensor.reason or sensor.scope})" for sensor in facts.power_sensors]
    return {
        "device": f"{device.name} ({device.address}, {facts.kind})",
        "board": facts.board or "it does not say",
        "profile": closest.name if closest else "none fits",
        "system": f"{facts.system} {facts.machine}, kernel {facts.kernel or 'unknown'}, Python {facts.python}, {facts.libc}".rstrip(
            ", "
        ),
        "cpu": f"{facts.cpu_model}, {facts.cores} cores",
        "features": listing(facts.cpu_features),
        "memory": f"{size(facts.memory_available_bytes)} available of {size(facts.memory_bytes)}",
        "disk": f"{size(facts.disk_free_bytes)} free",
        "runtimes": listing(f"{name} {version}" for name, version in facts.runtimes.items()),
        "governor": (listing(governors) + (f"; available: {listing(available)}" if available else ""))
        if governors
        else "cannot be read",
        **_jetson_rows(facts),
        "zones": listing(facts.thermal_zones),
        "power": listing(sensors) if sensors else facts.power_reason,
    }
