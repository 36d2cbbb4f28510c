"""The line to the host: its requests as they come, answers to it, and noticing that it is gone.

Two threads beside the caller's: one reads frames, because the end of standard input must be noticed at once, also in the middle of
a measurement; one sends a heartbeat.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import threading
from typing import Any, Callable, Dict, Iterator, Optional, Tuple, Union

from .frames import Frame, FrameError, FrameReader, encode_header
from .stdio import write_all

HEARTBEAT_S = 2.0
_STOP_WAIT_S = 5.0
_IDLE_FACTOR = 12  # between two requests the host may be busy with its own work for longer than it may be silent during one

Answer = Tuple[Dict[str, Any], bytes]  # the fields and the payload of a ``result``


class Host:
    """The host of a session, over two descriptors.

    Args:
        hung: called when the session does not end although the host has gone; the process ends right after.

    Attributes:
        stop_fd: has something to read from the moment on that the session is to end.
        silence_s: how long the host may be silent while a request is answered; ``None``: for ever.
    """

    def __init__(self, input_fd: int, output_fd: int, hung: Callable[[], None]) -> None:
        self.silence_s: Optional[float] = None
        self.stop_fd, self._stop_writer = os.pipe()
        self._input_fd = input_fd
        self._output_fd = output_fd
        self._hung = hung
        self._write_lock = threading.Lock()
        self._inbox: "queue.Queue[Union[Frame, FrameError, None]]" = queue.Queue(maxsize=16)
        self._finished = threading.Event()
        self._request_id = 0
        self._answering = False

    def listen(self, banner: bytes) -> None:
        """Say ``banner`` and begin to read; from now on a signal ends the session as the end of standard input does."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        write_all(self._output_fd, [banner])
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def requests(self) -> Iterator[Frame]:
        """One request after another, until the host has gone; ``emit`` answers the latest.

        Raises:
            FrameError: what it sends is no frame.
        """
        while True:
            frame = self._inbox.get()
            if frame is None:
                return
            if isinstance(frame, FrameError):
                raise frame
            self._request_id = frame.id
            self._answering = True
            yield frame
            self._answering = False

    def emit(self, op: str, fields: Dict[str, Any], payload: bytes = b"") -> None:
        """Send an event, or the result, of the latest request."""
        self._send(self._request_id, op, fields, payload)

    def finish(self) -> None:
        """The session has ended and left nothing behind."""
        self._finished.set()

    def _send(self, request_id: int, op: str, fields: Dict[str, Any], payload: bytes) -> None:
        header = encode_header(request_id, op, fields, len(payload))
        with self._write_lock:
            write_all(self._output_fd, [header, payload])

    def _stop(self) -> None:
        os.write(self._stop_writer, b"x")

    # ------------------------------------------------------------ threads
    def _read(self) -> None:
        reader = FrameReader(self._read_some)
        last: Optional[FrameError] = None
        try:
            while True:
                frame = reader.frame()
                if frame is None:
                    break
                if frame.op != "heartbeat":
                    self._inbox.put(frame)
        except FrameError as problem:
            last = problem
        self._stop()
        with contextlib.suppress(queue.Full):
            self._inbox.put(last, timeout=_STOP_WAIT_S)
        if not self._finished.wait(_STOP_WAIT_S):
            self._hung()
            os._exit(1)  # the main thread hangs in the kernel; without its workers and descriptors the device is free

    def _read_some(self, size: int) -> bytes:
        for _ in self._ticks_until_silent():
            readable, _, _ = select.select([self._input_fd, self.stop_fd], [], [], 1.0)
            if readable:
                return b"" if self.stop_fd in readable else os.read(self._input_fd, size)
        return b""  # as if it had closed the connection: a pulled cable does not say so

    def _ticks_until_silent(self) -> Iterator[None]:
        """One a second, until the host has been silent for too long. Ticks and not clock time: a device that was suspended or
        starved has not heard the host, which proves nothing.
        """
        ticks = 0
        while True:
            limit_s = self.silence_s
            if limit_s is not None and ticks >= limit_s * (1 if self._answering else _IDLE_FACTOR):
                return
            ticks += 1
            yield

    def _beat(self) -> None:
        while not self._finished.wait(HEARTBEAT_S):
            try:
                self._send(0, "heartbeat", {}, b"")
            except OSError:
                return
