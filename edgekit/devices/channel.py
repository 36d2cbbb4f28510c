"""One connection to an agent: frames out, frames in, and noticing when it is gone.

Three daemon threads: one reads frames, one reads standard error, one watches the heartbeat. Requests are made one at a time from
the caller's thread.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ..agent.frames import PROTOCOL, Frame, FrameError, FrameReader, encode_header
from ..errors import DeviceRunError, DeviceUnavailableError, EdgekitError, IntegrityError
from .text import clean, clean_lines
from .transport import Pipes

DEAD_AFTER_S = 10
BEAT_S = 2.0
_MAX_NOISE_BYTES = 10 << 20
_MAX_LOG_CHARACTERS = 1 << 18
_END_WAIT_S = 5.0
_BANNER = re.compile(rb"%s ([0-9a-f]{32})\r?\Z" % PROTOCOL.encode())

OnEvent = Callable[[Frame], None]

_live: weakref.WeakSet[Channel] = weakref.WeakSet()


def interrupt_all() -> None:
    """Ends every agent that this process is connected to; whoever waits for one, in any thread, is told that it is gone."""
    for channel in list(_live):
        channel.interrupt()


class Channel:
    """The frames of one agent.

    Args:
        pipes: of a freshly started agent; the channel ends it and closes them.
        address: for messages.
    """

    def __init__(self, pipes: Pipes, address: str) -> None:
        self.log_text = ""  # what the agent, its runners and their runtimes printed; the last part of it
        self.sent_bytes = 0  # to the agent, frame headers included
        self._pipes = pipes
        self._address = address
        self._inbox: queue.Queue[Frame | bytes | None] = queue.Queue()
        self._error_text = ""
        self._why_gone = ""
        self._silent_ticks = 0
        self._next_id = 0
        self._pending = False
        self._greeted = False
        self._write_lock = threading.Lock()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"edgekit-{target.__name__.strip('_')}", daemon=True)
            for target in (self._read_frames, self._read_errors, self._watch)
        ]
        for thread in self._threads:
            thread.start()
        _live.add(self)

    @property
    def usable(self) -> bool:
        """Whether another request may be made: the agent lives and has answered the last one."""
        return not self._pending and not self._why_gone and not self._closing.is_set()

    def banner(self, timeout_s: float) -> str:
        """The nonce of the agent's banner; text before it (login messages, warnings) has been skipped.

        Raises:
            DeviceUnavailableError: none came.
        """
        try:
            nonce = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            nonce = None
            self._why_gone = f"no agent answered within {timeout_s:g} s"
        if not isinstance(nonce, bytes):
            raise self._gone("the agent did not start")
        return nonce.decode()

    def request(
        self, op: str, fields: Mapping[str, Any], payload: bytes = b"", *, silence_s: float, on_event: OnEvent | None = None
    ) -> Frame:
        """Ask, hand each event to ``on_event``, and return the ``result``.

        Args:
            silence_s: longest time without an event or the result.

        Raises:
            DeviceUnavailableError: the agent is gone or silent, or somebody else holds the device.
            IntegrityError, DeviceRunError: the agent refused.
        """
        if not self.usable:
            raise self._gone("the agent cannot be asked any more")
        self._next_id += 1
        self._pending = True
        self._write(encode_header(self._next_id, op, dict(fields), len(payload)), payload)
        while True:
            try:
                frame = self._inbox.get(timeout=silence_s)
            except queue.Empty:
                self._why_gone = f"no answer to {op} within {silence_s:g} s"
                frame = None
            if frame is None:
                raise self._gone("the device stopped answering")
            if not isinstance(frame, Frame) or frame.id != self._next_id:
                continue
            if frame.op == "result":
                self._pending = False
                return frame
            if frame.op == "error":
                self._pending = False
                raise self._refused(op, frame.fields)
            if on_event is not None:
                on_event(frame)

    def beat(self) -> None:
        """From now on tell the agent every two seconds that this host is there: it ends what it does when it hears nothing."""
        thread = threading.Thread(target=self._beat, name="edgekit-beat", daemon=True)
        self._threads.append(thread)
        thread.start()

    def interrupt(self) -> None:
        """End the agent at once, from any thread; its session is still to be closed by whoever holds it."""
        self._why_gone = self._why_gone or "it was interrupted"
        self._pipes.kill()

    def close(self, *, wait_s: float = _END_WAIT_S) -> None:
        """Close the agent's standard input, which ends it and its workers; kill it if it does not end."""
        self._closing.set()
        try:
            with contextlib.suppress(OSError):
                self._pipes.stdin.close()
            ended = self._pipes.wait(wait_s)
            if ended is None:
                self._pipes.kill()
                self._pipes.wait(wait_s)
        except BaseException:
            self._pipes.kill()  # a second Ctrl-C: at once
            self._pipes.wait(wait_s)
            raise
        finally:
            for thread in self._threads:
                thread.join(_END_WAIT_S)
            if not any(thread.is_alive() for thread in self._threads):
                self._pipes.stdout.close()
                self._pipes.stderr.close()

    # ------------------------------------------------------------ threads
    def _read_frames(self) -> None:
        reader = FrameReader(self._read_some)
        try:
            nonce = self._skip_to_banner(reader)
            if nonce:
                self._greeted = True
                self._inbox.put(nonce)
                while True:
                    frame = reader.frame()
                    if frame is None:
                        break
                    if frame.op == "log":
                        self._log(str(frame.fields.get("text", "")))
                    elif frame.op != "heartbeat":
                        self._inbox.put(frame)
        except (FrameError, OSError, ValueError) as problem:  # ValueError: the stream was closed here
            self._why_gone = self._why_gone or f"what it sent cannot be read: {problem}"
            self._pipes.kill()
        self._why_gone = self._why_gone or "it ended"
        self._inbox.put(None)

    def _read_some(self, size: int) -> bytes:
        some = self._pipes.stdout.read(size)
        self._silent_ticks = 0
        return some or b""

    def _skip_to_banner(self, reader: FrameReader) -> bytes | None:
        skipped = 0
        while skipped < _MAX_NOISE_BYTES:
            line = reader.line()
            if line is None:
                return None
            found = _BANNER.search(line)
            if found:
                return found.group(1)
            skipped += len(line) + 1
            self._log(line.decode("utf-8", "replace") + "\n")
        raise FrameError(f"over {_MAX_NOISE_BYTES} bytes of text and no agent")

    def _read_errors(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while some := self._pipes.stderr.read(1 << 14):
                text = some.decode("utf-8", "replace")
                self._error_text = (self._error_text + text)[-4000:]
                self._log(text)

    def _watch(self) -> None:
        """Ticks are counted, not clock time: a host that was suspended or starved has not heard the agent, which proves nothing.

        An agent that has not shown its banner yet has no heartbeat either; ``banner`` bounds that wait.
        """
        while not self._closing.wait(1.0):
            self._silent_ticks += self._greeted
            if self._silent_ticks > DEAD_AFTER_S:
                self._why_gone = self._why_gone or f"no heartbeat for {DEAD_AFTER_S} s"
                self._pipes.kill()
                self._inbox.put(None)
                return

    def _beat(self) -> None:
        while not self._closing.wait(BEAT_S):
            self._write(encode_header(0, "heartbeat", {}, 0), b"")

    def _log(self, text: str) -> None:
        self.log_text = (self.log_text + clean_lines(text))[-_MAX_LOG_CHARACTERS:]

    # ------------------------------------------------------------ helpers
    def _write(self, header: bytes, payload: bytes) -> None:
        try:
            with self._write_lock:
                for part in (header, payload):
                    view = memoryview(part)
                    while view:
                        written = self._pipes.stdin.write(view)
                        self.sent_bytes += written
                        view = view[written:]
        except (OSError, ValueError):  # ValueError: closed here
            return  # the reader says why it is gone

    def _gone(self, what: str) -> DeviceUnavailableError:
        time.sleep(0.05)  # its last words may still be in the pipe
        said = clean(self._error_text.strip()[-400:], 400)
        why = (self._why_gone or "an earlier request was given up") + (f"; it had printed: {said}" if said else "")
        return DeviceUnavailableError(f"{what} ({self._address})", why=why, hint="run it again; -v shows the agent's log")

    def _refused(self, op: str, fields: Mapping[str, Any]) -> EdgekitError:
        kind, message = clean(fields.get("kind"), 40), clean(fields.get("message"), 1000)
        if kind == "busy":
            return DeviceUnavailableError(
                f"device {self._address} is in use", why=message, hint="wait until it is free, or choose another device"
            )
        if kind == "integrity":
            return IntegrityError(f"{op} was refused by the device's agent", why=message)
        hint = "free some space there" if kind == "disk" and "space" in message.lower() else ""
        return DeviceRunError(f"{op} failed on device {self._address}", why=f"{message} [{kind}]", hint=hint)
