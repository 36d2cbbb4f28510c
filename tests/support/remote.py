"""A board that is this machine behind a transport that sends files, as every remote one does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgekit.devices.inventory import Device
from edgekit.devices.transport import ProcessPipes
from edgekit.errors import DeviceUnavailableError


@dataclass(frozen=True)
class GoneTransport:
    """A board that is switched off."""

    address: str = "ssh://gone"
    shares_files: bool = False

    def spawn(self, zipapp: Path) -> ProcessPipes:
        raise DeviceUnavailableError(f"{self.address} does not answer", why="no route to host", hint="switch it on")


@dataclass(frozen=True)
class BoardTransport:
    """Starts the agent on this machine, which takes no paths; ``environment`` is that of the board."""

    address: str = "ssh://board"
    environment: Mapping[str, str] = field(default_factory=dict)
    shares_files: bool = False
    spawned: list[ProcessPipes] = field(default_factory=list)

    def spawn(self, zipapp: Path) -> ProcessPipes:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, str(zipapp)],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,
            start_new_session=True,
            env={**os.environ, **self.environment},
        )
        self.spawned.append(ProcessPipes(process))
        return self.spawned[-1]


def board(home: Path, name: str = "board", **environment: str) -> Device:
    """A device called ``name`` with a home, a guest home and a lease of its own under ``home``."""
    place = home / name
    for folder in ("home", "lease"):
        (place / folder).mkdir(parents=True)
    own = {"HOME": str(place / "home"), "EDGEKIT_GUEST_HOME": str(place / "guest"), "EDGEKIT_LEASE_DIR": str(place / "lease")}
    own |= environment
    return Device(name, f"ssh://{name}", BoardTransport(f"ssh://{name}", own))


def known(monkeypatch: pytest.MonkeyPatch, *devices: Device) -> None:
    """Lets ``--device`` find these, by name, and nothing else."""
    from edgekit.devices import inventory

    by_name = {device.name: device for device in devices}
    monkeypatch.setattr(inventory, "open_device", lambda spec: by_name[spec])
    monkeypatch.setattr(inventory, "open_devices", lambda spec: [by_name[name] for name in spec.split(",")])
