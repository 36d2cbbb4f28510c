"""The relay does to a connection what it says, and nothing else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from .relay import Relay

MIB = 1 << 20


class Echo:
    """A server on loopback that sends back what it gets, and counts it."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received_bytes += len(data)
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def connect(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), 20)


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (some := connection.recv(65536)):
        data += some
    return data


def test_bytes_arrive_as_they_were_sent(echo: Echo) -> None:
    data = bytes(range(256)) * 4096
    with Relay(echo.port) as relay, connect(relay) as connection:
        threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
        assert receive(connection, len(data)) == data
        assert relay.tell("count") == f"{len(data)} {len(data)}"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"", "the end travels as well"
        assert relay.tell("nonsense") == "unknown command 'nonsense'"


def test_delay_is_per_direction_and_does_not_add_up(echo: Echo) -> None:
    with Relay(echo.port, delay_ms=100) as relay, connect(relay) as connection:
        started = time.monotonic()
        for _ in range(5):
            connection.sendall(b"x" * 1000)
        receive(connection, 5000)
        assert 0.2 <= time.monotonic() - started < 1.0
        relay.tell("delay 0")
        started = time.monotonic()
        connection.sendall(b"x")
        receive(connection, 1)
        assert time.monotonic() - started < 0.15


def test_rate_bounds_what_gets_through(echo: Echo) -> None:
    size = 500_000
    with Relay(echo.port, rate_mbit=8) as relay, connect(relay) as connection:
        started = time.monotonic()
        threading.Thread(target=connection.sendall, args=(b"x" * size,), daemon=True).start()
        assert len(receive(connection, size)) == size
        assert 0.45 <= time.monotonic() - started < 3.0  # half a second at 1 MB/s, both directions overlapping


def test_a_cut_is_a_reset_and_the_next_connection_works(echo: Echo) -> None:
    with Relay(echo.port) as relay:
        with connect(relay) as connection:
            relay.tell("cut-after 1000")
            connection.sendall(b"x" * 600)
            assert len(receive(connection, 600)) == 600
            with pytest.raises(ConnectionError):  # noqa: PT012 - the reset shows at one of them
                connection.sendall(b"x" * 600)
                assert connection.recv(1)
        with connect(relay) as connection:
            connection.sendall(b"again")
            assert receive(connection, 5) == b"again"
            relay.tell("cut")
            with pytest.raises(ConnectionError):
                connection.recv(1)
        relay.tell("refuse")
        with pytest.raises(ConnectionError), connect(relay) as connection:
            connection.recv(1)
    assert echo.received_bytes == 605


def test_a_black_hole_keeps_the_connection_and_drops_everything(echo: Echo) -> None:
    with Relay(echo.port) as relay, connect(relay) as connection:
        relay.tell("black-hole")
        connection.sendall(b"lost")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        relay.tell("pass")
        connection.settimeout(20)
        connection.sendall(b"kept")
        assert receive(connection, 4) == b"kept"
    assert echo.received_bytes == 4
