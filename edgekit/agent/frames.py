"""Frames of ``edgekit-agent/1``: one JSON line ``{"id", "op", "n", ...}`` followed by ``n`` raw bytes.

Both sides distrust what they read: the header and the payload have caps, and a payload is allocated as it arrives, not as it is
announced.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, NamedTuple, Optional

PROTOCOL = "edgekit-agent/1"
MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20
_MAX_OP_CHARACTERS = 64


class FrameError(Exception):
    """What arrived is not a frame: garbage, cut off, or over a cap. The stream cannot be used any further."""


class Frame(NamedTuple):
    """One message. ``fields`` holds the header without ``id``, ``op`` and ``n``."""

    id: int
    op: str
    fields: Dict[str, Any]
    payload: bytearray


def encode_header(frame_id: int, op: str, fields: Optional[Dict[str, Any]] = None, payload_bytes: int = 0) -> bytes:
    """The header line of a frame.

    Raises:
        FrameError: the header would be over the cap.
    """
    header = dict(fields or {})
    header.update(id=frame_id, op=op, n=payload_bytes)
    line = json.dumps(header, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    if len(line) > MAX_HEADER_BYTES:
        raise FrameError("a header of %d bytes is over the cap of %d" % (len(line), MAX_HEADER_BYTES))
    return line


class FrameReader:
    """Reads lines and frames from a function that returns some bytes (``b""`` at the end of the stream).

    ``read_some(n)`` may return fewer than ``n`` bytes, and may raise to give up (a time-out, a stop).
    """

    def __init__(self, read_some: Callable[[int], bytes], max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self._read_some = read_some
        self._max_payload_bytes = max_payload_bytes
        self._buffer = bytearray()

    def line(self) -> Optional[bytes]:
        """The next line without its newline; ``None`` when the stream ended before one began.

        Raises:
            FrameError: the line is over the header cap, or cut off.
        """
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end > MAX_HEADER_BYTES or (end < 0 and len(self._buffer) > MAX_HEADER_BYTES):
                raise FrameError("a header line of over %d bytes" % MAX_HEADER_BYTES)
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                return line
            searched = len(self._buffer)
            some = self._read_some(1 << 16)
            if not some:
                if self._buffer:
                    raise FrameError("the stream ended inside a header")
                return None
            self._buffer += some

    def frame(self) -> Optional[Frame]:
        """The next frame; ``None`` when the stream ended cleanly between two frames.

        Raises:
            FrameError: not a frame, cut off, or over a cap.
        """
        line = self.line()
        if line is None:
            return None
        header = _parse_header(line, self._max_payload_bytes)
        payload = self._payload(header.pop("n"))
        return Frame(header.pop("id"), header.pop("op"), header, payload)

    def _payload(self, size: int) -> bytearray:
        payload = self._buffer[:size]
        del self._buffer[:size]
        while len(payload) < size:
            some = self._read_some(min(_CHUNK_BYTES, size - len(payload)))
            if not some:
                raise FrameError("the stream ended %d bytes before the end of a payload" % (size - len(payload)))
            payload += some
        return payload


def _parse_header(line: bytes, max_payload_bytes: int) -> Dict[str, Any]:
    try:
        header = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise FrameError("a header that is not JSON: %s" % problem) from problem
    if not isinstance(header, dict):
        raise FrameError("a header that is not a JSON object")
    op = header.get("op")
    if not isinstance(op, str) or not 0 < len(op) <= _MAX_OP_CHARACTERS:
        raise FrameError("a header without an operation")
    for name, cap in (("id", 1 << 53), ("n", max_payload_bytes)):
        value = header.get(name)
        if type(value) is not int or value < 0:
            raise FrameError("a header whose %s is not a whole number" % name)
        if value > cap:
            raise FrameError("a header whose %s of %d is over the cap of %d" % (name, value, cap))
    return header


def _refuse_constant(name: str) -> Any:
    raise ValueError("%s is not JSON" % name)
