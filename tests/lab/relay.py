"""The fault relay of scripts/lab_parts, as tests hold it: a process that is told what the network is like."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

from support.requirements import ROOT


class Relay:
    """Forwards 127.0.0.1:``port`` to a server's port; ends with the block. Its commands are told in relay.py."""

    def __init__(self, server_port: int, *, delay_ms: float = 0.0, rate_mbit: float | None = None) -> None:
        argv = [sys.executable, str(ROOT / "scripts" / "lab_parts" / "relay.py"), "--to", f"127.0.0.1:{server_port}"]
        argv += ["--delay-ms", str(delay_ms), *(["--rate-mbit", str(rate_mbit)] if rate_mbit is not None else [])]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._answers = self._process.stdin, self._process.stdout
        self.port = int(self._answers.readline())

    def tell(self, command: str) -> str:
        """Carry out one command; returns its answer."""
        self._commands.write(command + "\n")
        self._commands.flush()
        return self._answers.readline().strip()

    def sent_bytes(self) -> int:
        """What went to the server so far."""
        return int(self.tell("count").split()[0])

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._commands.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
