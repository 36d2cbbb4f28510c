"""What `scripts/lab` does with a device's record and relay; none of it needs root."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.guests import children_of, is_running, wait_until_gone
from support.requirements import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from lab_parts.device import Device
from lab_parts.state import LabError

sys.path.remove(str(ROOT / "scripts"))

# A relay outlives the command that starts it.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """A device that is down, as its record says."""
    monkeypatch.setenv("EDGEKIT_LAB", str(tmp_path))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/host_ed25519.pub").write_text("ssh-ed25519 AAAA edgekit-lab\n")
    found = Device("dev0")
    found.folder.mkdir(parents=True)
    record = {"name": "dev0", "port": 9, "ssh_port": 9, "pid": 0, "cpu": "cortex-a76", "relay_pid": None, "user": "edge"}
    (found.folder / "device.json").write_text(json.dumps(record))
    before = set(children_of(os.getpid()))
    yield found
    if found.folder.exists():
        found.stop()
    for pid in set(children_of(os.getpid())) - before:  # it has been killed, and takes its time
        wait_until_gone(pid)


def relay_of(device: Device) -> int:
    pid = device.describe()["relay_pid"]
    assert isinstance(pid, int)
    return pid


def test_a_second_relay_takes_the_place_of_the_first(device: Device) -> None:
    device.put_behind_relay(0.0, None)
    first = relay_of(device)
    device.put_behind_relay(20.0, 8.0)
    second = relay_of(device)
    assert (is_running(first), is_running(second)) == (False, True)
    device.stop()
    wait_until_gone(second)


@pytest.mark.parametrize("command", ["blackhole", "rate fast", "rate 0", "delay", "delay -1", "cut-after nan"])
def test_what_the_relay_does_not_know_is_refused_and_ends_nothing(command: str, device: Device) -> None:
    device.put_behind_relay(0.0, None)
    with pytest.raises(LabError, match="no such command") as caught:
        device.tell_relay(command)
    assert caught.value.exit_code == 2
    device.tell_relay("rate 1")
    assert is_running(relay_of(device))


def test_a_relay_that_has_ended_is_told(device: Device) -> None:
    device.put_behind_relay(0.0, None)
    os.kill(relay_of(device), signal.SIGKILL)
    wait_until_gone(relay_of(device))
    with pytest.raises(LabError, match="has ended"):  # noqa: PT012 - sooner or later
        for _ in range(200):  # its other threads hold the FIFO for a moment longer
            device.tell_relay("cut")
            time.sleep(0.02)


def test_a_port_that_is_taken_is_no_device(device: Device) -> None:
    (device.folder / "device.json").unlink()
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(LabError, match="is taken"):
        device.start(other.getsockname()[1], "cortex-a76", None)
    (device.folder / "device.json").write_text('{"pid": 0, "relay_pid": null}')


def test_a_relay_that_cannot_be_made_says_why(device: Device) -> None:
    with pytest.raises(LabError, match="no value for rate"):
        device.put_behind_relay(0.0, 0.0)
