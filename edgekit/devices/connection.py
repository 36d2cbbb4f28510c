"""The connection to a device's agent: how it begins and ends, how the agent is asked, and the lease."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from ..agent.frames import Frame
from ..errors import DeviceUnavailableError, UsageError
from ..types import Runner
from .channel import DEAD_AFTER_S, Channel, OnEvent
from .pace import Pace
from .plan import Timeouts
from .text import clean
from .transport import Transport
from .zipapp import build_zipapp

MARGIN_S = 15.0  # the guardian enforces its time-outs itself; the host waits a little longer for its word
# To change settings, or to put back what an earlier session has left changed, which hello and lease do: nvpmodel switches cores off
# and on; jetson_clocks runs several times, at most 30 s each. An agent that is gone is noticed by its heartbeat long before.
SETTINGS_S = 150.0
_TIMEOUTS = Timeouts()
_LEASE_POLL_S = 0.5

Progress = Callable[[int, int, str], None]  # done, total, what is being done (a step and a key, or a file)


class Connection:
    """A connected agent, of which anything that the protocol has may be asked.

    Args:
        transport: the way to the device.
        runners: by target name; their code goes into the agent's zipapp.
        timeouts: how long to wait for what.
        become: what the agent puts before its fixed list of privileged commands; empty: it runs none.
    """

    def __init__(
        self,
        transport: Transport,
        runners: Mapping[str, Runner],
        *,
        timeouts: Timeouts = _TIMEOUTS,
        become: Sequence[str] = (),
    ) -> None:
        self.repaired: tuple[str, ...] = ()  # what the agent has put back that a broken-off session had left changed
        self.timeouts = timeouts
        self.pace = Pace()
        self._transport = transport
        self._runners = dict(runners)
        self._become = list(become)
        self._channel: Channel | None = None
        self._lease_depth = 0

    # ------------------------------------------------------------ life
    def __enter__(self) -> Self:
        """Start the agent.

        Raises:
            DeviceUnavailableError: it does not start or does not speak this protocol.
        """
        channel = Channel(self._transport.spawn(build_zipapp(self._runners)), self.address)
        try:
            nonce = channel.banner(self.timeouts.connect_s)
            hello: dict[str, Any] = {"nonce": nonce, "become": self._become}
            if not self.shares_files:  # a pulled cable says nothing; on one machine the end of a process does
                channel.beat()
                hello["silence_s"] = DEAD_AFTER_S
            answer = channel.request("hello", hello, silence_s=SETTINGS_S)
        except BaseException:
            channel.close(wait_s=1.0)
            raise
        self.repaired = tuple(clean(line, 400) for line in list(answer.fields.get("repaired") or [])[:100])
        self._channel = channel
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            if kind is None and channel.usable:
                with contextlib.suppress(DeviceUnavailableError):
                    channel.request("bye", {}, silence_s=self.timeouts.connect_s)
        finally:
            channel.close()

    @property
    def address(self) -> str:
        """Of the device, for messages."""
        return self._transport.address

    @property
    def shares_files(self) -> bool:
        """Whether the agent runs on this machine and may read its files by their paths."""
        return self._transport.shares_files

    @property
    def usable(self) -> bool:
        """Whether the agent may be asked: it is connected, lives, and has answered the last request."""
        return self._channel is not None and self._channel.usable

    @property
    def log_text(self) -> str:
        """The last part of what the agent, the runners and their runtimes printed, cleaned."""
        return self._live.log_text

    @property
    def sent_bytes(self) -> int:
        """Bytes sent to the agent so far, frame headers included; not the agent itself."""
        return self._live.sent_bytes

    @property
    def _live(self) -> Channel:
        if self._channel is None:
            raise UsageError("the agent session is not open", hint="use it in a with block")
        return self._channel

    # ------------------------------------------------------------ asking
    def ask(
        self, op: str, fields: Mapping[str, Any], payload: bytes = b"", *, silence_s: float, on_event: OnEvent | None = None
    ) -> Frame:
        """See :meth:`edgekit.devices.channel.Channel.request`.

        Raises:
            UsageError: the agent has not been started.
        """
        return self._live.request(op, fields, payload, silence_s=silence_s, on_event=on_event)

    def request(self, op: str, fields: Mapping[str, Any], *, size_bytes: int = 0) -> Mapping[str, Any]:
        """An operation on the device's files that has a module of its own here; its answer as it came.

        Args:
            size_bytes: what the device has to read and write for it.

        Raises:
            DeviceRunError, IntegrityError: the agent refused.
        """
        return self.ask(op, fields, silence_s=self.timeouts.push_stall_s + size_bytes / 10e6 + MARGIN_S).fields

    # ------------------------------------------------------------ the lease
    @contextlib.contextmanager
    def lease(
        self, *, wait_s: float | None = None, purpose: str = "edgekit", on_wait: Callable[[str], None] | None = None
    ) -> Iterator[None]:
        """Hold the device alone. Nests; ``infer``, ``bench`` and ``prepare`` take it themselves when it is not held.

        Args:
            wait_s: how long to wait for it; ``None`` means not at all.
            on_wait: told once who holds it, when it has to be waited for.

        Raises:
            DeviceUnavailableError: somebody else holds it; says who and since when.
        """
        if self._lease_depth == 0:
            self._take_lease(wait_s or 0.0, purpose, on_wait)
        self._lease_depth += 1
        try:
            yield
        finally:
            self._lease_depth -= 1
            if self._lease_depth == 0 and self.usable:
                self.ask("lease", {"hold": False}, silence_s=SETTINGS_S)

    def _take_lease(self, wait_s: float, purpose: str, on_wait: Callable[[str], None] | None) -> None:
        give_up = time.monotonic() + wait_s
        while True:
            try:
                self.ask("lease", {"hold": True, "purpose": purpose}, silence_s=SETTINGS_S)
            except DeviceUnavailableError as busy:
                if not self.usable or time.monotonic() >= give_up:
                    raise
                if on_wait is not None:
                    on_wait(f"waiting: {busy.what}" + (f", {busy.why}" if busy.why else ""))
                    on_wait = None
                time.sleep(_LEASE_POLL_S)
            else:
                return
