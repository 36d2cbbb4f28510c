"""Pushing over links that are cut, slow or far away, and onto disks that are full."""

from __future__ import annotations

import os
import random
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.guests import Toy, wait_until_gone
from support.requirements import missing
from support.ssh_fixtures import client, server, ssh_home, transport_to  # noqa: F401 - fixtures
from support.ssh_servers import Server

from edgekit.devices import AgentSession, BenchPlan, Opened
from edgekit.devices import channel as channel_module
from edgekit.devices import connection as connection_module
from edgekit.errors import DeviceRunError, DeviceUnavailableError
from edgekit.types import Measurement

from .relay import Relay

X = np.ones((2, 3), np.float32)
HANDSHAKE_BYTES = 30_000  # of a connection whose agent is there already: keys, the bootstrap's text, the first frames


def add_noise(toy: Toy, name: str, size_bytes: int, seed: int = 0) -> str:
    """A file that does not compress; returns its sha256."""
    toy.add_file(name, random.Random(seed).randbytes(size_bytes))
    return toy.files[name]


def test_a_cut_push_goes_on_where_it_stopped(server: Server, toy: Toy) -> None:  # noqa: F811
    size = 6_000_000
    sha256 = add_noise(toy, "big.bin", size)
    blobs = server.guest_home / "blobs"
    with Relay(server.port, rate_mbit=16) as relay:
        transport = transport_to(server, port=relay.port)
        with AgentSession(transport, {"toy": toy.runner()}) as session:
            relay.tell("cut-after 3500000")
            with pytest.raises(DeviceUnavailableError) as caught:
                session.push(toy.artifact, toy.files)
        assert caught.value.exit_code == 6
        assert not (blobs / sha256).exists(), "what has its name has its content"
        arrived = max(path.stat().st_size for path in blobs.glob(f"{sha256}*"))
        assert arrived > 1_000_000
        before = relay.sent_bytes()
        with AgentSession(transport, {"toy": toy.runner()}) as session:
            session.push(toy.artifact, toy.files)
            opened = session.open("one", "toy", toy.runner(text="big.bin"), toy.files)
            assert isinstance(opened, Opened)
        resent = relay.sent_bytes() - before
        assert resent < (size - arrived) * 1.02 + 2 * HANDSHAKE_BYTES
        assert resent < size - 1_000_000


def test_a_second_push_sends_under_a_hundredth(server: Server, toy: Toy) -> None:  # noqa: F811
    for number in range(4):
        add_noise(toy, f"part-{number}.bin", 1_500_000, number)
    with Relay(server.port) as relay:
        transport = transport_to(server, port=relay.port)
        sent = []
        for _ in range(2):
            before = relay.sent_bytes()
            with AgentSession(transport, {"toy": toy.runner()}) as session:
                session.push(toy.artifact, toy.files)
            sent.append(relay.sent_bytes() - before)
    assert sent[0] > 6_000_000
    assert sent[1] < 60_000, "all of it: keys, bootstrap, frames"


def test_far_away(server: Server, toy: Toy) -> None:  # noqa: F811
    """150 ms each way, and everything works."""
    with Relay(server.port, delay_ms=150) as relay:
        with AgentSession(transport_to(server, port=relay.port), {"toy": toy.runner()}) as session:
            session.push(toy.artifact, toy.files)
            assert isinstance(session.open("one", "toy", toy.runner(), toy.files), Opened)
            np.testing.assert_array_equal(session.infer("one", {"x": X})["x"], X * 2)
            plan = BenchPlan(rounds=3, round_s=0.01, window_s=0.01, warm_up_max_s=0.05)
            found = session.bench(["one"], {"one": {"x": X}}, plan)["one"]
        assert isinstance(found, Measurement)
        assert statistics.median(sum(found.rounds, ())) < 0.1, "the way there is no part of a latency"


@pytest.mark.waits
def test_a_slow_link_is_not_a_dead_one(server: Server, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """1 Mbit/s: a push takes longer than either side would wait for a sign of life, and goes through at nearly that rate."""
    monkeypatch.setattr(channel_module, "DEAD_AFTER_S", 4)
    monkeypatch.setattr(connection_module, "DEAD_AFTER_S", 4)
    size = 900_000
    add_noise(toy, "big.bin", size)
    with AgentSession(transport_to(server), {"toy": toy.runner()}):
        pass  # the agent is there
    with Relay(server.port, rate_mbit=1) as relay:
        with AgentSession(transport_to(server, port=relay.port), {"toy": toy.runner()}) as session:
            began = time.monotonic()
            session.push(toy.artifact, toy.files)
            took_s = time.monotonic() - began
        assert 8 * size / 1e6 * 0.95 < took_s < 8 * size / 1e6 * 1.4


@pytest.mark.waits
def test_a_black_hole_is_noticed_on_both_sides(server: Server, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The connection stands and nothing comes through: the host gives up, and so does the guardian, which frees everything."""
    monkeypatch.setattr(channel_module, "DEAD_AFTER_S", 4)
    monkeypatch.setattr(connection_module, "DEAD_AFTER_S", 4)
    with Relay(server.port) as relay, AgentSession(transport_to(server, port=relay.port), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        opened = session.open("one", "toy", toy.runner(), toy.files)
        assert isinstance(opened, Opened)

        def swallow(done: int, total: int, step: str) -> None:
            if done == 2 and step.startswith("round"):
                relay.tell("black-hole")

        began = time.monotonic()
        with pytest.raises(DeviceUnavailableError) as caught:
            session.bench(["one"], {"one": {"x": X}}, BenchPlan(rounds=1000, round_s=0.1), swallow)
        assert caught.value.exit_code == 6
        assert "no heartbeat for 4 s" in caught.value.why
        assert time.monotonic() - began < 15
        wait_until_gone(opened.fingerprint["parent"], 15 - (time.monotonic() - began))
        wait_until_gone(opened.fingerprint["pid"], 1)
        with AgentSession(transport_to(server), {}) as other, other.lease():
            pass
        assert list((server.guest_home / "sessions").iterdir()) == []


@pytest.fixture
def small_disk(server: Server) -> Iterator[Path]:  # noqa: F811
    """Where the device keeps its files: 4 MB in all."""
    if os.geteuid() != 0:
        missing("a small disk can only be mounted by root")
    server.guest_home.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(server.guest_home)], check=True)
    yield server.guest_home
    subprocess.run(["umount", str(server.guest_home)], check=True)


def needed_and_available(problem: DeviceRunError) -> tuple[int, int]:
    found = re.search(r"(\d+) bytes are needed and (\d+) are available", problem.why)
    assert found, problem
    return int(found.group(1)), int(found.group(2))


@pytest.mark.needs_root
def test_a_disk_that_is_too_small(server: Server, toy: Toy, small_disk: Path) -> None:  # noqa: F811
    sha256 = add_noise(toy, "big.bin", 6_000_000)
    with AgentSession(transport_to(server), {"toy": toy.runner()}) as session:
        with pytest.raises(DeviceRunError) as caught:
            session.push(toy.artifact, toy.files)
        assert caught.value.exit_code == 7
        needed, available = needed_and_available(caught.value)
        assert needed >= 6_000_000
        assert 0 < available < 4 << 20
        assert list((small_disk / "blobs").glob(f"{sha256}*")) == []
        (small_disk / "theirs").write_bytes(b"x" * 1000)
        assert session.probe().cores >= 1, "the session goes on"


@pytest.mark.needs_root
def test_a_disk_that_fills_up_meanwhile(server: Server, toy: Toy, small_disk: Path) -> None:  # noqa: F811
    sha256 = add_noise(toy, "big.bin", 2_500_000)
    with AgentSession(transport_to(server), {"toy": toy.runner()}) as session:

        def fill(done: int, total: int, name: str) -> None:
            if not (small_disk / "theirs").exists():
                with (small_disk / "theirs").open("wb") as stream:
                    try:
                        while True:
                            stream.write(b"x" * 65536)
                            stream.flush()
                    except OSError:
                        pass

        with pytest.raises(DeviceRunError) as caught:
            session.push(toy.artifact, toy.files, fill)
        assert caught.value.exit_code == 7
        needed, available = needed_and_available(caught.value)
        assert needed > available
        assert list((small_disk / "blobs").glob(f"{sha256}*")) == []


@pytest.mark.needs_root
def test_no_room_even_for_the_agent(server: Server, small_disk: Path) -> None:  # noqa: F811
    (small_disk / "theirs").write_bytes(b"x" * ((4 << 20) - 65536))
    with pytest.raises(DeviceRunError) as caught, AgentSession(transport_to(server), {}):
        pass
    assert caught.value.exit_code == 7
    assert "bytes, " in caught.value.why
    assert "are available" in caught.value.why
    assert list((small_disk / "agents").iterdir()) == []
