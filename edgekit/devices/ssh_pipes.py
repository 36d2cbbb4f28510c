"""An agent's standard streams over an SSH channel, as blocking binary streams."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import Any, BinaryIO, cast

import asyncssh

from .ssh_loop import background_loop, run

_WRITE_CHUNK_BYTES = 1 << 16
_BUFFER_BYTES = 4 << 20  # what has arrived and is not read yet; beyond it the device has to wait
_NO_STATUS = 255  # the connection broke before the agent's exit status came: what ssh reports then


class SshPipes:
    """The streams of one remote command. Made by :func:`open_pipes`."""

    def __init__(self, connection: asyncssh.SSHClientConnection, session: AgentChannel) -> None:
        self._connection = connection
        self._session = session
        self.stdin: BinaryIO = cast(BinaryIO, _Input(session))
        self.stdout: BinaryIO = cast(BinaryIO, _Output(session, None))
        self.stderr: BinaryIO = cast(BinaryIO, _Output(session, asyncssh.EXTENDED_DATA_STDERR))

    def read_some(self, size: int, timeout_s: float) -> bytes:
        """From standard output; empty at its end.

        Raises:
            TimeoutError: nothing came.
        """
        return self._session.read_some(None, size, timeout_s)

    def kill(self) -> None:
        """Drop the connection. The agent's standard input ends with it, and that ends the agent and its workers."""
        background_loop().call_soon_threadsafe(self._connection.abort)

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, 255 where the connection broke before it came, ``None`` when nothing has ended within ``timeout_s``."""
        return self._session.exit_status if self._session.ended.wait(timeout_s) else None


async def open_pipes(connection: asyncssh.SSHClientConnection, command: str) -> SshPipes:
    """Run ``command``; the connection is closed with it."""
    session = AgentChannel(connection)
    await connection.create_session(
        lambda: session, command, encoding=None, request_pty=False, x11_forwarding=False, env=None, send_env=None
    )
    return SshPipes(connection, session)


class AgentChannel(asyncssh.SSHClientSession[bytes]):
    """Moves bytes between the loop's thread, where asyncssh calls, and the threads that read and write."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.ended = threading.Event()
        self.exit_status = _NO_STATUS
        self._connection = connection
        self._channel: asyncssh.SSHClientChannel[bytes]
        self._arrived: dict[int | None, bytearray] = {None: bytearray(), asyncssh.EXTENDED_DATA_STDERR: bytearray()}
        self._arrived_bytes = 0
        self._paused = False
        self._finished = False  # no more will arrive
        self._change = threading.Condition()
        self._writable = asyncio.Event()
        self._writable.set()

    # ------------------------------------------------------------ called by asyncssh in the loop's thread
    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        with self._change:
            self._arrived[datatype] += data
            self._arrived_bytes += len(data)
            if self._arrived_bytes > _BUFFER_BYTES and not self._paused:
                self._paused = True
                self._channel.pause_reading()
            self._change.notify_all()

    def eof_received(self) -> bool:
        with self._change:
            self._finished = True
            self._change.notify_all()
        return True  # the other direction stays open

    def exit_status_received(self, status: int) -> None:
        self.exit_status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002 - asyncssh's names
        self.exit_status = _NO_STATUS

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the readers see an end, whatever it was
        self.eof_received()
        self._writable.set()
        self._connection.close()
        self.ended.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ------------------------------------------------------------ called by other threads
    def read_some(self, stream: int | None, size: int, timeout_s: float | None = None) -> bytes:
        with self._change:
            arrived = self._arrived[stream]
            if not self._change.wait_for(lambda: arrived or self._finished, timeout_s):
                raise TimeoutError
            data = bytes(arrived[:size])
            del arrived[:size]
            self._arrived_bytes -= len(data)
            if self._paused and self._arrived_bytes < _BUFFER_BYTES // 2:
                self._paused = False
                background_loop().call_soon_threadsafe(self._resume_reading)
            return data

    def write(self, data: bytes) -> None:
        """Hand ``data`` over and wait until more is welcome.

        Raises:
            BrokenPipeError: the agent is gone.
        """
        run(self._write(data))

    async def _write(self, data: bytes) -> None:
        self._channel.write(data)
        await self._writable.wait()
        if self.ended.is_set():
            raise BrokenPipeError("the SSH connection is closed")

    def write_eof(self) -> None:
        background_loop().call_soon_threadsafe(self._write_eof)

    def _write_eof(self) -> None:
        if not self.ended.is_set():
            self._channel.write_eof()

    def _resume_reading(self) -> None:
        if not self.ended.is_set():
            self._channel.resume_reading()


class _Input(io.RawIOBase):
    """The agent's standard input; closing it is the end of file there."""

    def __init__(self, session: AgentChannel) -> None:
        self._session = session

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        chunk = bytes(memoryview(data)[:_WRITE_CHUNK_BYTES])
        self._session.write(chunk)
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._session.write_eof()
        super().close()


class _Output(io.RawIOBase):
    """One of the agent's two outputs."""

    def __init__(self, session: AgentChannel, stream: int | None) -> None:
        self._session = session
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._session.read_some(self._stream, len(buffer))
        buffer[: len(data)] = data
        return len(data)
