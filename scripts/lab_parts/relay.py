"""A TCP relay on loopback with the faults of real networks: delay, a limited rate, a cut, a black hole.

    relay.py --to 127.0.0.1:22 [--port N] [--delay-ms MS] [--rate-mbit R]

It prints the port that it listens on, then obeys one command a line on standard input, each answered by one line, and ends with it:

    delay MS | rate MBIT | rate none     from now on, in each direction
    cut                                  reset every connection, now
    cut-after BYTES                      ... once that many more bytes have come from the client's side
    black-hole | pass                    keep connections and drop everything | forward again (a dropped byte stays lost)
    refuse | accept                      reset new connections | serve them
    count                                bytes forwarded so far: to the server, then to the client
"""

from __future__ import annotations

import argparse
import asyncio
import math
import socket
import struct
import sys
from dataclasses import dataclass, field

MAX_CHUNK_BYTES = 1 << 16
MIN_CHUNK_BYTES = 1 << 11
CHUNK_S = 0.02  # on the line
QUEUE_BYTES = 1 << 16  # beside what is on its way: what a modem would buffer


@dataclass
class Direction:
    """One way through the link, shared by its connections."""

    forwarded_bytes: int = 0
    free_at_s: float = 0.0  # when the last byte that was accepted has been put on the line


@dataclass
class Link:
    """The state of the network, and who is connected."""

    delay_s: float = 0.0
    rate_bytes_per_s: float | None = None
    cut_after_bytes: int | None = None
    black_hole: bool = False
    refuse: bool = False
    to_server: Direction = field(default_factory=Direction)
    to_client: Direction = field(default_factory=Direction)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Reset every connection: both ends learn of it at once."""
        self.cut_after_bytes = None
        for writer in list(self.writers):
            reset(writer)

    def due_s(self, direction: Direction, size: int, now_s: float) -> float:
        """When a chunk that arrives now comes out at the other end."""
        if self.rate_bytes_per_s is None:
            return now_s + self.delay_s
        direction.free_at_s = max(now_s, direction.free_at_s) + size / self.rate_bytes_per_s
        return direction.free_at_s + self.delay_s

    def chunk_bytes(self) -> int:
        """How much to take at once: little on a slow line, so that it flows."""
        if self.rate_bytes_per_s is None:
            return MAX_CHUNK_BYTES
        return int(min(max(self.rate_bytes_per_s * CHUNK_S, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES))

    def room_bytes(self) -> float:
        """How much may be under way in one direction: what the line holds, and a modem's buffer."""
        if self.rate_bytes_per_s is None:
            return 64 * QUEUE_BYTES
        return QUEUE_BYTES + self.delay_s * self.rate_bytes_per_s


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an orderly end."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Pump:
    """Carries one connection's bytes in one direction."""

    def __init__(self, link: Link, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._link = link
        self._direction = direction
        self._reader = reader
        self._writer = writer
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._queued_bytes = 0
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Until the source ends or the connection breaks."""
        delivery = asyncio.create_task(self._deliver())
        try:
            while data := await self._reader.read(self._link.chunk_bytes()):
                await self._take(data)
            await self._queue.put((0.0, b""))
            await delivery
        except ConnectionError:
            return
        finally:
            delivery.cancel()

    async def _take(self, data: bytes) -> None:
        link = self._link
        if link.black_hole:
            return
        if self._direction is link.to_server and link.cut_after_bytes is not None:
            link.cut_after_bytes -= len(data)
            if link.cut_after_bytes <= 0:
                link.cut()
                return
        while self._queued_bytes > link.room_bytes():
            self._room.clear()
            await self._room.wait()
        self._queued_bytes += len(data)
        await self._queue.put((link.due_s(self._direction, len(data), asyncio.get_running_loop().time()), data))

    async def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s, data = await self._queue.get()
            if not data:
                break
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
            self._queued_bytes -= len(data)
            self._room.set()
            if self._link.black_hole:
                continue
            self._direction.forwarded_bytes += len(data)
            self._writer.write(data)
            try:
                await self._writer.drain()
            except ConnectionError:
                return
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()


async def serve(link: Link, server: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client's connection, from its beginning to its end."""
    if link.refuse:
        reset(writer)
        return
    try:
        server_reader, server_writer = await asyncio.open_connection(*server)
    except OSError:
        reset(writer)
        return
    ends = {writer, server_writer}
    link.writers |= ends
    pumps = [
        asyncio.create_task(Pump(link, link.to_server, reader, server_writer).run()),
        asyncio.create_task(Pump(link, link.to_client, server_reader, writer).run()),
    ]
    await asyncio.gather(*pumps)
    link.writers -= ends
    for end in ends:
        end.close()


def obey(link: Link, line: str) -> str:
    """Carry out one command; returns the answer, which is neither ``done`` nor a count where it is no command."""
    word, _, value = line.strip().partition(" ")
    if word in ("delay", "rate", "cut-after") and (word, value) != ("rate", "none") and not _is_amount(word, value):
        return f"{value!r} is no value for {word}"
    if word == "delay":
        link.delay_s = float(value) / 1e3
    elif word == "rate":
        link.rate_bytes_per_s = None if value == "none" else float(value) * 1e6 / 8
    elif word == "cut":
        link.cut()
    elif word == "cut-after":
        link.cut_after_bytes = int(float(value))
    elif word in ("black-hole", "pass"):
        link.black_hole = word == "black-hole"
    elif word in ("refuse", "accept"):
        link.refuse = word == "refuse"
    elif word == "count":
        return f"{link.to_server.forwarded_bytes} {link.to_client.forwarded_bytes}"
    else:
        return f"unknown command {word!r}"
    return "done"


def _is_amount(word: str, value: str) -> bool:
    try:
        number = float(value)
    except ValueError:
        return False
    return 0 <= number < math.inf and not (word == "rate" and number == 0)


async def relay(link: Link, server: tuple[str, int], port: int) -> None:
    """Serve until standard input ends."""
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)  # else the kernel buffers megabytes before the slow line
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(link, server, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    service = await asyncio.start_server(accept, sock=listener, limit=MAX_CHUNK_BYTES)
    print(listener.getsockname()[1], flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(obey(link, line), flush=True)
    service.close()
    link.cut()


def main() -> None:
    parser = argparse.ArgumentParser(description="A TCP relay on loopback with the faults of real networks.")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--port", type=int, default=0, help="to listen on; 0 takes a free one")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="in each direction")
    parser.add_argument("--rate-mbit", type=float, help="in each direction, in Mbit/s")
    arguments = parser.parse_args()
    host, _, port = arguments.to.rpartition(":")
    link = Link()
    for command in (f"delay {arguments.delay_ms}", f"rate {'none' if arguments.rate_mbit is None else arguments.rate_mbit}"):
        answer = obey(link, command)
        if answer != "done":
            parser.error(answer)
    asyncio.run(relay(link, (host, int(port)), arguments.port))


if __name__ == "__main__":
    main()
