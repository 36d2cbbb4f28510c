"""tegrastats, NVIDIA's own program on Jetson boards: a line of text for every interval, with the rails somewhere in it.

``VDD_IN 5263mW/5190mW`` is the power now and its mean since the program started; JetPack 4 leaves out the unit, later releases
add a third field. Only the first is used. Rails feed one another, so they are never added up here.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from typing import Dict, List, Optional

from .base import MAX_RAILS, Meter, MeterError
from .jetson import rail, total_of
from .program import find_program

PATHS = ("usr/bin/tegrastats",)
INTERVAL_S = 0.1
_FIRST_LINE_S = 5.0
_STALE_S = 2.0
_END_WAIT_S = 2.0
_MAX_LINE_BYTES = 1 << 14
# The look-ahead keeps out what has another unit: "RAM 2505/7775MB", "IRAM 0/252kB".
_RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]{1,39}) (-?\d{1,9})(?:mW)?(?:/-?\d{1,9}(?:mW)?){1,2}(?=\s|\Z)")


def parse_line(line: str) -> Dict[str, float]:
    """Watts now, by rail, of one line; empty when it holds none."""
    found: Dict[str, float] = {}
    for match in _RAIL.finditer(line):
        if len(found) < MAX_RAILS and match.group(1) != "NC":  # nothing is connected to that channel
            found.setdefault(match.group(1), int(match.group(2)) * 1e-3)
    return found


class Tegrastats(Meter):
    """Runs the program from ``start`` to ``close`` and gives what its last line said."""

    name = "tegrastats"

    def __init__(self, program: str, line: str, reason: str) -> None:
        rails = [rail(name) for name in parse_line(line)]
        total, scope = total_of(rails)
        super().__init__(rails, total, scope, period_s=INTERVAL_S, resolution=0.001, reason=reason)
        self._argv = [program, "--interval", "%d" % (INTERVAL_S * 1000)]
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._reader: Optional[threading.Thread] = None
        self._last: Dict[str, float] = {}
        self._last_s = 0.0
        self._first = threading.Event()

    def start(self) -> None:
        self._first.clear()
        self._last = {}
        try:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as problem:
            raise MeterError("%s: %s" % (self._argv[0], problem.strerror or problem)) from problem
        self._reader = threading.Thread(target=self._follow, args=(self._process,), name="tegrastats", daemon=True)
        self._reader.start()
        told = self._first.wait(_FIRST_LINE_S)
        if not self._last:
            self.close()
            when = "before it ended" if told else "within %g s" % _FIRST_LINE_S
            raise MeterError("%s printed no rail %s" % (" ".join(self._argv), when))

    def _follow(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        while True:
            line = process.stdout.readline(_MAX_LINE_BYTES)
            if not line:
                self._first.set()  # nothing comes any more: nobody needs to wait for it
                return
            values = parse_line(line.decode("utf-8", "replace"))
            if values:
                self._last, self._last_s = values, time.monotonic()
                self._first.set()

    def read(self) -> Dict[str, float]:
        values, age_s = self._last, time.monotonic() - self._last_s
        if age_s > _STALE_S:
            raise MeterError("%s has printed nothing for %.1f s" % (self._argv[0], age_s))
        missing = [each.name for each in self.rails if each.name not in values]
        if missing:
            raise MeterError("a line of %s is without %s" % (self._argv[0], ", ".join(missing)))
        return values

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_END_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(_END_WAIT_S)
        assert process.stdout is not None
        process.stdout.close()


def find(root: str) -> List[Meter]:
    """One meter where the program is there. Its rails are known once it has printed a line."""
    program = find_program(root, PATHS)
    if program is None:
        return []
    try:
        return [Tegrastats(program, _first_line(program), "")]
    except MeterError as problem:
        return [Tegrastats(program, "", str(problem))]


def _first_line(program: str) -> str:
    """A line with rails, from a short run of the program.

    Raises:
        MeterError: it printed none.
    """
    probe = Tegrastats(program, "", "")
    probe.start()
    try:
        return " ".join("%s %d/0" % (name, round(value * 1e3)) for name, value in probe.read().items())
    finally:
        probe.close()
