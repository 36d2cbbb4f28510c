"""``edgekit devices add``: a device is contacted once, and kept under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .common import common_options, print_json
from .device_rows import kept_entry, probed

if TYPE_CHECKING:
    from ..devices.store import DeviceEntry
    from ..types import DeviceFacts, Profile


@click.command()
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
        document = {"schema": "edgekit.device-add/1", "device": kept_entry(name, entry), "closest_profile": closest_name}
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
    from ..devices.store import LOCAL, DeviceEntry, check_name, load_entries
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
    if update and name == LOCAL:  # this machine is always there
        kept.setdefault(LOCAL, DeviceEntry(LOCAL))
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
        facts = probed(device_of(name, entry))
    except DeviceUnavailableError as problem:
        hint = f"{problem.hint}; or keep it without connecting: --no-probe".removeprefix("; or ")
        raise DeviceUnavailableError(problem.what, why=problem.why, hint=hint) from problem
    if entry.profile is not None:
        require_match(get_profile(entry.profile), facts, name)
    return facts, closest_profile(facts)
