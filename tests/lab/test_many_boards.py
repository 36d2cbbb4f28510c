"""Sixteen boards at the ends of slow, long lines are pushed to nearly as fast as one."""

from __future__ import annotations

import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.guests import Toy
from support.ssh_fixtures import client, ssh_home, transport_to  # noqa: F401 - fixtures
from support.ssh_servers import Client, Server

from edgekit.devices import AgentSession, Transport

from .relay import Relay

BOARDS = 16
SIZE_BYTES = 16_000_000  # over six seconds at 20 Mbit/s


def push(transport: Transport, toy: Toy) -> None:
    with AgentSession(transport, {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)


@pytest.mark.alone
def test_sixteen_boards_take_less_than_one_and_a_half_times_as_long_as_one(client: Client, toy: Toy, tmp_path: Path) -> None:  # noqa: F811
    """Both cores are needed for that: where a neighbour had one of them, a second try decides."""
    with contextlib.ExitStack() as boards:
        servers = [boards.enter_context(Server(tmp_path / f"board-{number}", client)) for number in range(BOARDS + 1)]
        relays = [boards.enter_context(Relay(server.port, delay_ms=100, rate_mbit=20)) for server in servers]
        transports = [transport_to(server, port=relay.port) for server, relay in zip(servers, relays, strict=True)]
        ratios = []
        for attempt in range(2):
            toy.add_file("big.bin", random.Random(attempt).randbytes(SIZE_BYTES))
            began = time.monotonic()
            push(transports[-1], toy)
            one_s = time.monotonic() - began
            began = time.monotonic()
            with ThreadPoolExecutor(BOARDS) as pool:
                list(pool.map(lambda transport: push(transport, toy), transports[:-1]))
            all_s = time.monotonic() - began
            [sha256] = [digest for name, digest in toy.files.items() if name == "big.bin"]
            for server in servers:
                assert (server.guest_home / "blobs" / sha256).stat().st_size == SIZE_BYTES
            print(f"one board {one_s:.1f} s, {BOARDS} boards {all_s:.1f} s: {all_s / one_s:.2f} times")
            assert one_s > SIZE_BYTES * 8 / 20e6, "the relay let too much through"
            ratios.append(all_s / one_s)
            if ratios[-1] < 1.5:
                return
    pytest.fail(f"sixteen took {ratios} times as long as one")
