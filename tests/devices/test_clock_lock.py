"""A session locks a Jetson's clocks and leaves them as they were: after errors, disconnects, and a killed agent."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from support.remote import BoardTransport, board
from support.stand_in_jetson import StandIn, stand_in

from edgekit.devices import AgentSession
from edgekit.devices.inventory import Device
from edgekit.errors import DeviceRunError, DeviceUnavailableError

ALL = {"cpu", "gpu", "emc"}


@pytest.fixture
def jetson(tmp_path: Path) -> StandIn:
    return stand_in(tmp_path / "jetson", "6.2")


@pytest.fixture
def device(jetson: StandIn, tmp_path: Path) -> Device:
    return board(tmp_path, **jetson.environment)


def session(device: Device, jetson: StandIn, *, root: bool = True) -> AgentSession:
    return AgentSession(device.transport, {}, become=jetson.become if root else ())


def test_while_the_block_runs(device: Device, jetson: StandIn) -> None:
    with session(device, jetson) as found:
        with found.power_mode("25W"), found.locked_clocks(True):
            assert (jetson.power_mode, jetson.locked_clocks) == ("1", ALL)
            facts = found.probe()
            assert facts.jetson is not None
            assert facts.jetson.clocks_locked
        assert (jetson.power_mode, jetson.locked_clocks) == ("0", set())
        with pytest.raises(ValueError, match="mine"), found.locked_clocks(True):
            raise ValueError("mine")
        assert jetson.locked_clocks == set()
        with found.locked_clocks(False):
            assert jetson.locked_clocks == set()


def test_what_is_refused_says_why_and_what_to_do(device: Device, jetson: StandIn) -> None:
    with (
        session(device, jetson, root=False) as found,
        pytest.raises(DeviceRunError, match="cannot be locked") as denied,
        found.locked_clocks(True),
    ):
        pass
    assert denied.value.exit_code == 7
    assert "needs root" in denied.value.why
    assert "become" in denied.value.hint


def test_no_jetson_clocks(tmp_path: Path) -> None:
    without = stand_in(tmp_path / "bare", "6.2", jetson_clocks=False)
    with (
        session(board(tmp_path, **without.environment), without) as found,
        pytest.raises(DeviceRunError) as none,
        found.locked_clocks(True),
    ):
        pass
    assert "there is no jetson_clocks" in none.value.why
    assert none.value.hint == "leave --lock-clocks out"


def test_the_end_of_the_connection_puts_them_back(device: Device, jetson: StandIn) -> None:
    with session(device, jetson) as found:
        held = found.locked_clocks(True)
        held.__enter__()
        assert jetson.locked_clocks == ALL
    assert jetson.locked_clocks == set()


def test_a_cut_connection_puts_them_back(device: Device, jetson: StandIn) -> None:
    with session(device, jetson) as found:
        held = found.locked_clocks(True)
        held.__enter__()
        assert jetson.locked_clocks == ALL
        found._live._pipes.stdin.close()
        since = time.monotonic()
        while jetson.locked_clocks:
            assert time.monotonic() - since < 15
            time.sleep(0.05)


def test_a_killed_agent_is_repaired_at_the_next_connect(device: Device, jetson: StandIn) -> None:
    transport = device.transport
    assert isinstance(transport, BoardTransport)
    with session(device, jetson) as found:
        held = found.locked_clocks(True)
        held.__enter__()
        os.kill(transport.spawned[-1].process.pid, signal.SIGKILL)
        with pytest.raises(DeviceUnavailableError):
            found.probe()
        assert jetson.locked_clocks == ALL
    with session(device, jetson) as again:
        assert again.repaired == ("jetson_clocks was put back from locked to unlocked",)
    assert jetson.locked_clocks == set()
