"""What goes wrong on the device, as the protocol's ``error`` event carries it."""

from __future__ import annotations

from typing import Dict


class AgentError(Exception):
    """A request that failed. ``kind`` is one of the protocol's words.

    protocol     the request makes no sense
    integrity    a hash does not match, or something is not the private file it should be
    disk         the guest's files cannot be written
    busy         somebody else holds the device; the message says who, since when
    no-lease     the operation needs the lease
    unsupported  this runner cannot do that
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class RunError(Exception):
    """A candidate that failed: its result, never the end of the session.

    ``kind`` is crash, error, timeout, out-of-memory or missing-runtime.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def to_json(self) -> Dict[str, str]:
        return {"kind": self.kind, "message": str(self)}


class Stop(Exception):  # noqa: N818 - an end, not an error
    """The host has gone or asked to end: unwind, leave nothing behind."""
