"""The protocol's own copies of standard input and output.

Runtimes print to standard output and may read standard input. Before any of them is imported, both are duplicated for the
protocol and the originals are pointed elsewhere: 1 at 2, 0 at nothing.
"""

from __future__ import annotations

import os
import select
import time
from typing import Callable, Optional, Sequence, Tuple, Union

from .errors import Stop


def take_stdio() -> Tuple[int, int]:
    """Descriptors of the protocol's input and output; neither is inherited by children."""
    output_fd = os.dup(1)
    os.dup2(2, 1)
    input_fd = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return input_fd, output_fd


def write_all(fd: int, parts: Sequence[Union[bytes, bytearray]]) -> None:
    """Write ``parts`` one after another to a blocking descriptor."""
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(fd, view) :]


def idle(seconds: float, stop_fd: int) -> None:
    """Do nothing for so long; raises Stop as soon as the session ends."""
    readable, _, _ = select.select([stop_fd], [], [], seconds)
    if readable:
        raise Stop


class Deadline:
    """Waits on a descriptor no longer than until a point in time, and not at all once ``stop_fd`` has something to read."""

    def __init__(self, seconds: Optional[float], stop_fd: int) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self._stop_fd = stop_fd

    def _wait(self, read: Sequence[int], write: Sequence[int]) -> None:
        """Raises TimeoutError after the deadline and Stop when the session ends."""
        left = None if self._end is None else max(0.0, self._end - time.monotonic())
        readable, writable, _ = select.select([*read, self._stop_fd], write, [], left)
        if self._stop_fd in readable:
            raise Stop
        if not readable and not writable:
            raise TimeoutError

    def reader(self, fd: int) -> Callable[[int], bytes]:
        """A function for FrameReader that reads ``fd``, which may be blocking."""

        def read_some(size: int) -> bytes:
            self._wait([fd], [])
            return os.read(fd, size)

        return read_some

    def write_all(self, fd: int, parts: Sequence[Union[bytes, bytearray]]) -> None:
        """Write everything to ``fd``, which must be non-blocking."""
        for part in parts:
            view = memoryview(part)
            while view:
                self._wait([], [fd])
                try:
                    view = view[os.write(fd, view) :]
                except BlockingIOError:
                    continue
