"""The governor over a whole session. Root gives each agent a view in which the kernel's CPU folder is a folder of the test's."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.guests import Toy, is_running, wait_until_gone
from support.requirements import missing

from edgekit.agent.journal import Change, boot_id
from edgekit.devices import AgentSession, BenchPlan, LocalTransport, Opened
from edgekit.errors import DeviceRunError, UnknownNameError
from edgekit.types import Measurement

LONG = BenchPlan(rounds=1000, round_s=0.2, warm_up_max_s=0.1)
FEED = {"one": {"x": np.ones(3, np.float32)}}
RESTORED_WITHIN_S = 15
pytestmark = pytest.mark.needs_root


@dataclass
class Board:
    cpu: Path
    python: str
    python_that_may_not: str  # the same view, but nothing in it can be written

    @property
    def governor(self) -> str:
        return (self.cpu / "cpufreq/policy0/scaling_governor").read_text().strip()

    def session(self, toy: Toy, **options: object) -> AgentSession:
        """``remote``: the host is not on this machine, so it sends a heartbeat and the agent listens for it. ``denied``: the agent
        may not write to the governor's file.
        """
        python = self.python_that_may_not if options.pop("denied", False) else self.python
        transport = LocalTransport(python=python, shares_files=not options.pop("remote", False))
        return AgentSession(transport, {"toy": toy.runner()}, **options)  # type: ignore[arg-type]

    def wait_until_restored(self, since: float) -> None:
        while self.governor != "ondemand":
            assert time.monotonic() - since < RESTORED_WITHIN_S, f"the governor is still {self.governor}"
            time.sleep(0.05)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        missing("a view of its own for the agent can only be made by root")
    cpu = tmp_path / "cpu"
    policy = cpu / "cpufreq/policy0"
    policy.mkdir(parents=True)
    (cpu / "online").write_text("0-1\n")
    (policy / "scaling_governor").write_text("ondemand\n")
    (policy / "scaling_available_governors").write_text("ondemand performance\n")
    view = f"mount --bind {shlex.quote(str(cpu))} /sys/devices/system/cpu"
    read_only = f"{view} && mount -o remount,ro,bind /sys/devices/system/cpu"
    yield Board(cpu, *(str(python_with(tmp_path / name, see)) for name, see in (("python", view), ("denied", read_only))))


def python_with(path: Path, view: str) -> Path:
    path.write_text(f'#!/bin/sh\nexec unshare -m sh -c \'{view} && exec {sys.executable} "$@"\' sh "$@"\n')
    path.chmod(0o700)
    return path


def opened(session: AgentSession, toy: Toy) -> Opened:
    session.push(toy.artifact, toy.files)
    found = session.open("one", "toy", toy.runner(), toy.files)
    assert isinstance(found, Opened)
    return found


def test_it_is_set_for_the_block_and_then_put_back(board: Board, toy: Toy) -> None:
    with board.session(toy) as session:
        opened(session, toy)
        with session.governor("performance"):
            assert board.governor == "performance"
            result = session.bench(["one"], FEED, BenchPlan(rounds=2, round_s=0.01, warm_up_max_s=0.05))["one"]
        assert board.governor == "ondemand"
        with session.governor(None):
            assert board.governor == "ondemand"
        with pytest.raises(ZeroDivisionError), session.lease(), session.governor("performance"):
            raise ZeroDivisionError
        assert board.governor == "ondemand"
        with pytest.raises(UnknownNameError, match="unknown governor 'performence'") as caught, session.governor("performence"):
            pass
        assert "performance" in caught.value.hint
    assert isinstance(result, Measurement)
    assert result.conditions is not None


def test_without_permission_it_is_refused_with_the_reason(board: Board, toy: Toy) -> None:
    with (
        board.session(toy, denied=True) as session,
        pytest.raises(DeviceRunError, match="cannot be set to performance") as caught,
        session.governor("performance"),
    ):
        pass
    assert "scaling_governor" in caught.value.why
    assert "become" in caught.value.hint
    assert board.governor == "ondemand"


def test_through_become_where_the_agent_itself_may_not(board: Board, toy: Toy, tmp_path: Path) -> None:
    """What stands before the command has the right; here it writes to the folder behind the agent's read-only view."""
    prefix = tmp_path / "sudo"
    real = board.cpu / "cpufreq/policy0/scaling_governor"
    prefix.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tmp_path}/asked\ncat > {real}\n')
    prefix.chmod(0o700)
    with board.session(toy, denied=True, become=(str(prefix), "-n")) as session:
        with session.governor("performance"):
            assert board.governor == "performance"
        assert board.governor == "ondemand"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["-n /usr/bin/tee /sys/devices/system/cpu/cpufreq/policy0/scaling_governor"] * 2


def test_a_cut_connection_puts_it_back(board: Board, toy: Toy) -> None:
    with board.session(toy) as session:
        found = opened(session, toy)

        def cut(*_: object) -> None:
            assert board.governor == "performance"
            session._live._pipes.stdin.close()

        since = time.monotonic()
        with pytest.raises(Exception, match="stopped answering"), session.governor("performance"):
            session.bench(["one"], FEED, LONG, cut)
        board.wait_until_restored(since)
    wait_until_gone(found.fingerprint["pid"], 10)
    wait_until_gone(found.fingerprint["parent"], 10)
    with board.session(toy) as session, session.lease():
        assert session.repaired == ()


@pytest.mark.waits
def test_a_pulled_cable_puts_it_back(board: Board, toy: Toy) -> None:
    """The host stops without a word: nothing is closed, nothing is sent."""
    with board.session(toy, remote=True) as session:
        found = opened(session, toy)
        silent_since: list[float] = []

        def pull(*_: object) -> None:
            if not silent_since:
                silent_since.append(time.monotonic())
                session._live._closing.set()  # no heartbeat any more

        with pytest.raises(Exception, match="stopped answering"), session.governor("performance"):
            session.bench(["one"], FEED, LONG, pull)
        board.wait_until_restored(silent_since[0])
        wait_until_gone(found.fingerprint["pid"], 5)
        wait_until_gone(found.fingerprint["parent"], 5)


def test_a_killed_guardian_is_repaired_at_the_next_connect(board: Board, toy: Toy) -> None:
    with board.session(toy) as session:
        found = opened(session, toy)

        def kill(*_: object) -> None:
            if is_running(found.fingerprint["parent"]):
                os.kill(found.fingerprint["parent"], signal.SIGKILL)

        with pytest.raises(Exception, match="stopped answering"), session.governor("performance"):
            session.bench(["one"], FEED, LONG, kill)
        wait_until_gone(found.fingerprint["pid"], 10)
        assert board.governor == "performance"
    with board.session(toy) as session:
        assert board.governor == "ondemand"
        assert len(session.repaired) == 1
        assert "put back from performance to ondemand" in session.repaired[0]
    with board.session(toy) as session:
        assert session.repaired == ()


def test_a_repair_waits_for_whoever_measures(board: Board, toy: Toy) -> None:
    with board.session(toy) as first, first.lease():
        home = Path(os.environ["EDGEKIT_GUEST_HOME"])
        left = Change("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "ondemand", "performance", boot_id())
        (home / "journal").mkdir(parents=True, mode=0o700)
        (home / "journal/killed.journal").write_text(json.dumps(left._asdict()) + "\n")
        (board.cpu / "cpufreq/policy0/scaling_governor").write_text("performance")
        with board.session(toy) as second:
            assert second.repaired == ()
            assert board.governor == "performance"
    with board.session(toy) as third:
        assert len(third.repaired) == 1
        assert board.governor == "ondemand"
