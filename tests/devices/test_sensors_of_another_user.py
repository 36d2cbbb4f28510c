"""An agent that is not root and may not read the board's power monitor: it says so, and energy is refused with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.remote import BoardTransport
from support.requirements import missing
from support.stand_in_jetson import stand_in

from edgekit.devices import AgentSession
from edgekit.devices.inventory import Device
from edgekit.devices.transport import ProcessPipes
from edgekit.errors import UsageError
from edgekit.metering import meter_of
from edgekit.request import DeployRequest

NOBODY = 65534


@dataclass(frozen=True)
class NobodysTransport(BoardTransport):
    """The agent as a user with no rights, by a program that drops root's before it starts."""

    place: Path = field(default_factory=Path)
    start: tuple[str, ...] = ()

    def spawn(self, zipapp: Path) -> ProcessPipes:
        copy = self.place / "agent.pyz"  # root's own copy is root's alone
        shutil.copyfile(zipapp, copy)
        copy.chmod(0o644)
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [*self.start, str(copy)], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True, cwd="/",
            env={"PATH": "/usr/bin:/bin", **self.environment},
        )  # fmt: skip
        self.spawned.append(ProcessPipes(process))
        return self.spawned[-1]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can walk to; pytest's own are the user's alone."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_nobody() -> tuple[str, ...]:
    """The start of a command line that runs Python as nobody; root drops its rights, another user has none to drop."""
    if os.geteuid() != 0:
        return (shutil.which("python3") or missing("there is no python3 in the PATH"),)
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
    for python in ("/usr/bin/python3", "/usr/local/bin/python3"):  # the tests' own often lies in root's home
        try:
            if subprocess.run([*prefix, python, "-c", "import json"], cwd="/", capture_output=True, check=False).returncode == 0:
                return (*prefix, python)
        except FileNotFoundError:
            missing("there is no setpriv (util-linux) to run the agent as another user")
    return missing("nobody may run a Python of this system")


@pytest.mark.parametrize(
    ("jetpack", "name", "readable"), [("4.6.1", "ina3221x", False), ("6.2", "ina3221", False), ("6.2", "ina3221", True)]
)
def test_sensors_that_may_not_be_read_say_so(jetpack: str, name: str, readable: bool, place: Path) -> None:
    jetson = stand_in(place / "jetson", jetpack, readable_sensors=readable)
    for folder in ("home", "guest", "lease"):
        (place / folder).mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(place / folder, NOBODY, NOBODY)
    environment = {
        "HOME": str(place / "home"), "EDGEKIT_GUEST_HOME": str(place / "guest"), "EDGEKIT_LEASE_DIR": str(place / "lease"),
        **jetson.environment,
    }  # fmt: skip
    transport = NobodysTransport("ssh://nobody", environment, place=place, start=as_nobody())
    device = Device("jetty", "ssh://nobody", transport, meter=name)
    energy = DeployRequest("model.onnx", objective="energy")
    with AgentSession(transport, {}) as session:
        [sensor] = [each for each in session.probe().power_sensors if each.name == name]
        if readable:
            assert sensor.reason == ""
            found = meter_of(session, device, energy, "").facts
            assert found is not None
            assert found.name == name
            return
        assert "permission denied" in sensor.reason.lower()
        assert str(jetson.root / "sys/bus/i2c") in sensor.reason, "which file"
        with pytest.raises(UsageError, match="energy cannot be the objective") as caught:
            meter_of(session, device, energy, "")
    assert caught.value.exit_code == 2
    assert "permission denied" in caught.value.why.lower()
    assert "--objective latency" in caught.value.hint
