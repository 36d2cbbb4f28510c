"""Measures candidates in turn for minutes: what a benchmark of seconds does not see, because the device has not become hot yet.

The device is never idle for long, as in use, and every candidate meets the same heat: turns of about a second, in an order shuffled
anew each cycle. All inferences of a turn are timed; an evenly spaced part of them is sent, or ten minutes of a small net would be
gigabytes.
"""

from __future__ import annotations

import array
import functools
import random
import time
from typing import Any, Dict, Mapping, NamedTuple, Sequence

from .bench import Bench, Emit, Plan, TensorPayload
from .slots import Slot

_MAX_N = 1000000


class SustainPlan(NamedTuple):
    """How long, and in which turns; the host's ``SustainPlan`` says what each means."""

    duration_s: float
    turn_s: float
    keep_n: int


class Sustain(Bench):
    """One run over the slots that have not failed."""

    def __init__(
        self, slots: Sequence[Slot], feeds: Mapping[str, TensorPayload], plan: Plan, sustain: SustainPlan, emit: Emit
    ) -> None:
        super().__init__(slots, feeds, plan, emit)
        self._sustain = sustain
        self._start = 0.0

    def run(self) -> Dict[str, Any]:
        """The ``result`` of the operation; the turns have been sent as ``sample`` events by then."""
        for slot in self._slots:
            self._guarded(slot, self._first_warm_up)
        shuffled = random.Random(self._plan.seed)  # noqa: S311 - an order of measurements, not a secret
        self._start = time.monotonic()
        cycle = 0
        while self._elapsed_s() < self._sustain.duration_s:
            order = [slot for slot in self._slots if slot.key not in self._failures]
            if not order:
                break
            shuffled.shuffle(order)
            for slot in order:
                self._guarded(slot, functools.partial(self._turn, cycle))
            cycle += 1
        for slot in self._slots:
            slot.resume()
        return {
            "mode": self._mode,
            "cpus": self._cpus,
            "sensors": self._sensors.describe(),
            "failures": self._failures,
            "elapsed_s": self._elapsed_s(),
        }

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._start

    def _turn(self, cycle: int, slot: Slot) -> None:
        plan = self._sustain
        progress = {"step": "sustain", "key": slot.key, "done": int(self._elapsed_s()), "total": int(plan.duration_s)}
        self._emit("progress", progress, b"")
        self._ready_for_round(slot)
        at_s = self._elapsed_s()
        fields = {"duration_s": plan.turn_s, "min_n": 1, "max_n": _MAX_N, "settle_n": self._plan.settle_n}
        payload, reading = self._burst(slot, fields)
        samples = array.array("d", payload)
        kept = samples[:: -(-len(samples) // plan.keep_n)]
        described = {"key": slot.key, "cycle": cycle, "at_s": at_s, "count": len(samples), "conditions": reading}
        self._emit("sample", described, kept.tobytes())
        self._rest(slot)
