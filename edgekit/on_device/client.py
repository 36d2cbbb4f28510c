"""The agent as a child of this program: the same guardian that serves a host over a cable, with the same protocol."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from typing import Any, Callable, Deque, Dict, Mapping, Optional, Union

from ..agent.frames import Frame, FrameError, FrameReader, encode_header

OnEvent = Callable[[Frame], None]
_KEPT_LOG_LINES = 200
_END_WAIT_S = 20.0


class AgentGone(Exception):  # noqa: N818 - what became of it
    """The agent ended, or said something that cannot be read."""


class Refused(Exception):  # noqa: N818 - the agent's word
    """The agent refused a request; ``kind`` is one of :class:`edgekit.agent.errors.AgentError`'s."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class LocalAgent:
    """A guardian on this machine; a context manager that leaves none behind."""

    def __init__(self, zipapp: str) -> None:
        self.log: Deque[str] = deque(maxlen=_KEPT_LOG_LINES)  # the last lines that runners and their runtimes printed
        self._zipapp = zipapp
        self._next_id = 0

    def __enter__(self) -> LocalAgent:
        self._process = subprocess.Popen(
            [sys.executable, self._zipapp, "--guardian", "--allow-paths"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        output = self._process.stdout
        assert output is not None
        self._reader = FrameReader(lambda size: output.read(size) or b"")
        banner = self._line()
        while not banner:  # the first line ends whatever was printed before
            banner = self._line()
        self.request("hello", {"nonce": banner.split()[-1].decode("ascii", "replace")})
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # it ends its workers, lets the lease go and removes what it laid out
        try:
            self._process.wait(_END_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def request(
        self, op: str, fields: Mapping[str, Any], payload: Union[bytes, bytearray] = b"", on_event: Optional[OnEvent] = None
    ) -> Frame:
        """Ask, and wait for the answer; ``on_event`` is told what comes before it (progress, samples).

        Raises:
            Refused: with the agent's reason.
            AgentGone: there is no answer.
        """
        self._next_id += 1
        stream = self._process.stdin
        assert stream is not None
        try:
            view = memoryview(encode_header(self._next_id, op, dict(fields), len(payload)) + bytes(payload))
            while view:
                view = view[stream.write(view) or 0 :]
            while True:
                frame = self._reader.frame()
                if frame is None:
                    raise AgentGone("the agent ended (exit status %s)" % self._process.wait(_END_WAIT_S))
                if frame.op == "log":
                    self.log.extend(str(frame.fields.get("text", "")).splitlines())
                elif frame.op == "error":
                    raise Refused(str(frame.fields.get("kind")), str(frame.fields.get("message")))
                elif frame.op == "result":
                    return frame
                elif frame.op != "heartbeat" and on_event is not None:
                    on_event(frame)
        except (FrameError, OSError, subprocess.TimeoutExpired) as problem:
            raise AgentGone("the agent cannot be understood: %s" % problem) from problem

    def _line(self) -> bytes:
        try:
            line = self._reader.line()
        except FrameError as problem:
            raise AgentGone("the agent did not start: %s" % problem) from problem
        if line is None:
            raise AgentGone("the agent did not start (exit status %s)" % self._process.wait(_END_WAIT_S))
        return line


def failure_of(frame: Frame) -> Optional[Dict[str, str]]:
    """{"kind", "message"} of a candidate that failed; None when it did not."""
    failure = frame.fields.get("failure")
    return {"kind": str(failure["kind"]), "message": str(failure["message"])} if failure else None
