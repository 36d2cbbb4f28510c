"""A session sets a Jetson's power mode and leaves it as it was, also when the block fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.remote import board
from support.stand_in_jetson import StandIn, stand_in

from edgekit.devices import AgentSession
from edgekit.errors import DeviceRunError, UnknownNameError


@pytest.fixture
def jetson(tmp_path: Path) -> StandIn:
    return stand_in(tmp_path / "jetson", "6.2")


def session(jetson: StandIn, tmp_path: Path, *, root: bool = True) -> AgentSession:
    return AgentSession(board(tmp_path, **jetson.environment).transport, {}, become=jetson.become if root else ())


def test_while_the_block_runs(jetson: StandIn, tmp_path: Path) -> None:
    with session(jetson, tmp_path) as found:
        with found.power_mode("25W"):
            assert jetson.power_mode == "1"
            facts = found.probe()
            assert facts.jetson is not None
            assert facts.jetson.power_mode == "25W"
        assert jetson.power_mode == "0"
        with pytest.raises(ValueError, match="mine"), found.power_mode("25W"):
            raise ValueError("mine")
        assert jetson.power_mode == "0"
        with found.power_mode(None):
            assert jetson.power_mode == "0"


def test_what_is_refused_says_why_and_what_to_do(jetson: StandIn, tmp_path: Path) -> None:
    with session(jetson, tmp_path, root=False) as found:
        with pytest.raises(UnknownNameError, match="unknown power mode '26W'") as unknown, found.power_mode("26W"):
            pass
        assert "25W" in unknown.value.hint
        with pytest.raises(DeviceRunError, match="cannot be set to 25W") as denied, found.power_mode("25W"):
            pass
        assert denied.value.exit_code == 7
        assert "Permission denied" in denied.value.why
        assert "become" in denied.value.hint
        jetson.behave(needs_reboot=["1"])
    assert jetson.power_mode == "0"


def test_the_end_of_the_connection_puts_it_back(jetson: StandIn, tmp_path: Path) -> None:
    with session(jetson, tmp_path) as found:
        held = found.power_mode("25W")
        held.__enter__()
        assert jetson.power_mode == "1"
    assert jetson.power_mode == "0"
