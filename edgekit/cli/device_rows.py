"""What ``edgekit devices`` says of a device, as rows of text and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..devices import Device
    from ..devices.store import DeviceEntry
    from ..types import DeviceFacts, Profile


def kept_entry(name: str, entry: DeviceEntry) -> dict[str, Any]:
    return {
        "name": name,
        "address": entry.address,
        "profile": entry.profile,
        "python": entry.python,
        "labels": dict(entry.labels),
        "meter": entry.meter,
        "become": list(entry.become),
    }


def probed(device: Device) -> DeviceFacts:
    from ..config import load_config
    from ..devices import AgentSession

    timeouts = load_config(Path.cwd()).timeouts
    with AgentSession(device.transport, {}, timeouts=timeouts, become=device.become) as session:
        return session.probe()


def print_rows(rows: dict[str, str], indent: str = "") -> None:
    from ..report.text import clean

    width = max(len(label) for label in rows)
    for label, text in rows.items():
        if text:
            click.echo(f"{indent}{label:<{width}}  {clean(text)}")


def probe_rows(device: Device, facts: DeviceFacts, closest: Profile | None) -> dict[str, str]:
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
