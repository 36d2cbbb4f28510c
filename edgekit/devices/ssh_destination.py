"""What an address says of the way to a host; the rest comes from ``~/.ssh/config``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Destination:
    """``ssh://[user@]alias[:port]``, or one hop of a ProxyJump line."""

    alias: str
    user: str | None = None
    port: int | None = None

    @property
    def name(self) -> str:
        """As ssh takes it."""
        return f"{self.user}@{self.alias}" if self.user else self.alias

    def command(self, *words: str, program: str = "ssh") -> str:
        """The command line that reaches it with OpenSSH's programs, for hints; ``words`` are run there."""
        port = ["-p", str(self.port)] if self.port else []
        return shlex.join([program, *port, self.name, *words])


def parse_jump(text: str) -> Destination:
    """``[user@]host[:port]`` of a ProxyJump line, also as ``ssh://...``."""
    user, _, place = text.removeprefix("ssh://").rpartition("@")
    host, colon, port = place.rpartition(":")
    if colon and port.isdigit() and (host.endswith("]") or ":" not in host):
        return Destination(host.strip("[]"), user or None, int(port))
    return Destination(place.strip("[]"), user or None)
