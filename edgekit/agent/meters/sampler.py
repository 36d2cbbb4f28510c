"""Reads a meter at even intervals, in a thread of its own, while something else is going on."""

from __future__ import annotations

import array
import sys
import threading
import time
from types import TracebackType
from typing import List, Optional, Tuple, Type

from .base import Meter, MeterError

LEAST_INTERVAL_S = 0.05  # more often would load the device that is measured
Sample = Tuple[float, Tuple[float, ...]]


class Sampler:
    """A context manager; ``samples`` grows from its beginning to its end.

    A sample is the time (``time.monotonic``, the middle of the reading) and the value of each rail in the meter's order.
    """

    def __init__(self, meter: Meter) -> None:
        self.samples: List[Sample] = []
        self.failures = 0
        self.failure = ""
        self._meter = meter
        self._names = [rail.name for rail in meter.rails]
        self._interval_s = max(meter.period_s, LEAST_INTERVAL_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="meter", daemon=True)

    def __enter__(self) -> "Sampler":
        self._take()
        self._thread.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], problem: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._take()

    def _follow(self) -> None:
        due_s = time.monotonic()
        while True:
            due_s = max(due_s + self._interval_s, time.monotonic())  # a late reading does not make the next ones hurry
            if self._stop.wait(due_s - time.monotonic()):
                return
            self._take()

    def _take(self) -> None:
        before_s = time.monotonic()
        try:
            values = self._meter.read()
        except MeterError as problem:
            self.failures += 1
            self.failure = str(problem)
            return
        self.samples.append(((before_s + time.monotonic()) / 2, tuple(values[name] for name in self._names)))

    def payload(self) -> bytes:
        """The samples as little-endian float64: time, then a value a rail, and so on."""
        numbers = array.array("d")
        for at_s, values in self.samples:
            numbers.append(at_s)
            numbers.extend(values)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tobytes()
