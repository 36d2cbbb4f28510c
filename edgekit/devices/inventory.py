"""From what the user writes after ``--device`` to a way there: names of ``devices.toml``, addresses, lists and labels."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UnknownNameError, UsageError
from ..types import DeviceFacts
from .store import LOCAL, DeviceEntry, check_address, load_entries
from .transport import Transport, local_transport

LABEL_PREFIX = "label:"
DEFAULT_PYTHON = "python3"


@dataclass(frozen=True)
class Device:
    """A device, the transport to it, and what the user's inventory says of it (see :class:`~.store.DeviceEntry`)."""

    name: str
    address: str
    transport: Transport
    profile: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    meter: str | None = None
    become: tuple[str, ...] = ()
    python: str = sys.executable


def open_device(spec: str | None) -> Device:
    """The one device that ``spec`` means; ``None`` and ``"local"`` are this machine. No connection is made yet.

    Raises:
        DependencyError: a kind of address that this version cannot reach.
        UnknownNameError: no device of that name or label.
        UsageError: no address, or several devices.
    """
    devices = open_devices(spec)
    if len(devices) > 1:
        raise UsageError(
            f"{spec!r} means {len(devices)} devices",
            why=f"they are {', '.join(device.name for device in devices)}",
            hint="name one of them here",
        )
    return devices[0]


def open_devices(spec: str | None) -> list[Device]:
    """All devices that ``spec`` means, each once, in the order of ``spec``. No connection is made yet.

    Args:
        spec: names, ``ssh://`` addresses and ``label:key=value``, separated by commas; ``None`` is this machine.

    Raises:
        DependencyError, UnknownNameError, UsageError: as for :func:`open_device`.
    """
    entries = load_entries()
    devices: dict[str, Device] = {}
    for part in (spec if spec is not None else LOCAL).split(","):
        for device in _meant(part.strip(), entries):
            devices.setdefault(device.name, device)
    return list(devices.values())


def _meant(part: str, entries: Mapping[str, DeviceEntry]) -> list[Device]:
    if part.startswith(LABEL_PREFIX):
        return _labelled(part, entries)
    if part in entries:
        return [device_of(part, entries[part])]
    if part in (LOCAL, f"{LOCAL}://"):
        return [device_of(LOCAL, DeviceEntry(LOCAL))]
    if ":" in part:
        check_address(part)
        return [device_of(part, DeviceEntry(part))]
    unknown = UnknownNameError("device", part, [LOCAL, *(name for name in entries if name != LOCAL)])
    unknown.hint += "; a device that is not kept is written ssh://[user@]host"
    raise unknown


def _labelled(part: str, entries: Mapping[str, DeviceEntry]) -> list[Device]:
    key, equals, value = part.removeprefix(LABEL_PREFIX).partition("=")
    if not (key and equals and value):
        raise UsageError(f"{part!r} selects no devices", hint="write label:key=value, such as label:board=pi5")
    found = [device_of(name, entry) for name, entry in entries.items() if entry.labels.get(key) == value]
    if not found:
        known = sorted({f"{k}={v}" for entry in entries.values() for k, v in entry.labels.items()})
        raise UnknownNameError("device label", f"{key}={value}", known)
    return found


def device_of(name: str, entry: DeviceEntry) -> Device:
    """The device that ``entry`` describes; it need not be kept."""
    if entry.address == LOCAL:
        python = entry.python or sys.executable
        if "/" in python:
            python = str(Path.home() / python)  # a relative path starts there, as where a remote command starts
        transport = local_transport(python)
    else:
        from .ssh import ssh_transport

        python = entry.python or DEFAULT_PYTHON
        transport = ssh_transport(entry.address, python=python)
    return Device(name, entry.address, transport, entry.profile, dict(entry.labels), entry.meter, entry.become, python)


def probe_device(spec: str | None = None) -> DeviceFacts:
    """What the device called ``spec`` is, read now; this machine unless said.

    Raises:
        DependencyError, UnknownNameError, UsageError: as for :func:`open_device`.
        DeviceUnavailableError: it does not answer.
    """
    from .session import AgentSession

    device = open_device(spec)
    with AgentSession(device.transport, {}, become=device.become) as session:
        return session.probe()
