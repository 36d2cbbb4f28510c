"""Measures candidates side by side: all are warmed up, then come rounds in which each has one burst, in an order shuffled anew.

Clocks, temperature and other programs drift during a run. Interleaving spreads that drift over all candidates alike, so that
speeds may be compared round by round.
"""

from __future__ import annotations

import functools
import random
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from .affinity import timing_cpus
from .conditions import Sensors, between
from .errors import RunError
from .slots import Slot, hold_too_much

Emit = Callable[[str, Dict[str, Any], bytes], None]
TensorPayload = Tuple[List[Dict[str, Any]], bytes]


class Plan(NamedTuple):
    """How to measure; the host's ``BenchPlan`` says what each means."""

    rounds: int
    round_s: float
    round_min_n: int
    round_max_n: int
    settle_n: int
    window_s: float
    window_min_n: int
    warm_up_max_s: float
    steady_tolerance: float
    resident_fraction: float
    seed: int
    load_timeout_s: float
    round_timeout_s: float


class Bench:
    """One run over the slots that have not failed."""

    def __init__(self, slots: Sequence[Slot], feeds: Mapping[str, TensorPayload], plan: Plan, emit: Emit) -> None:
        self._slots = list(slots)
        self._feeds = feeds
        self._plan = plan
        self._emit = emit
        self._mode = "resident"
        self._warm_up: Dict[str, Dict[str, Any]] = {}
        self._failures: Dict[str, Dict[str, str]] = {}
        self._orders: List[List[str]] = []
        self._cpus = timing_cpus(max([int(slot.options.get("threads") or 1) for slot in slots] or [1]))
        self._sensors = Sensors(self._cpus)

    def run(self) -> Dict[str, Any]:
        """The ``result`` of the operation; samples have been sent as ``sample`` events by then."""
        for position, slot in enumerate(self._slots):
            self._emit("progress", {"step": "warm-up", "key": slot.key, "done": position, "total": len(self._slots)}, b"")
            self._guarded(slot, self._first_warm_up)
        shuffled = random.Random(self._plan.seed)  # noqa: S311 - an order of measurements, not a secret
        for round_number in range(self._plan.rounds):
            order = [slot for slot in self._slots if slot.key not in self._failures]
            shuffled.shuffle(order)
            self._orders.append([slot.key for slot in order])
            for slot in order:
                progress = {"step": "round", "key": slot.key, "done": round_number, "total": self._plan.rounds}
                self._emit("progress", progress, b"")
                self._guarded(slot, functools.partial(self._round, round_number))
        for slot in self._slots:
            slot.resume()
        return {
            "mode": self._mode,
            "cpus": self._cpus,
            "sensors": self._sensors.describe(),
            "orders": self._orders,
            "failures": self._failures,
            "measured": {
                slot.key: {"warm_up": self._warm_up[slot.key], **slot.info}
                for slot in self._slots
                if slot.key not in self._failures
            },
        }

    def _guarded(self, slot: Slot, step: Callable[[Slot], None]) -> None:
        """A candidate that fails drops out with its reason; the others go on."""
        try:
            step(slot)
        except RunError as problem:
            self._failures[slot.key] = problem.to_json()
            slot.fail(problem)

    def _first_warm_up(self, slot: Slot) -> None:
        self._make_ready(slot)
        self._warm_up[slot.key] = self._run_warm_up(slot)
        if self._mode == "resident" and hold_too_much(self._slots, self._plan.resident_fraction):
            self._mode = "reloaded"
            for other in self._slots:
                other.unload()
        self._rest(slot)

    def _round(self, round_number: int, slot: Slot) -> None:
        plan = self._plan
        self._ready_for_round(slot)
        fields = {
            "duration_s": plan.round_s, "min_n": plan.round_min_n, "max_n": plan.round_max_n, "settle_n": plan.settle_n,
        }  # fmt: skip
        payload, reading = self._burst(slot, fields)
        self._emit("sample", {"key": slot.key, "round": round_number, "conditions": reading}, payload)
        self._rest(slot)

    def _burst(self, slot: Slot, fields: Dict[str, Any]) -> Tuple[bytes, Dict[str, Any]]:
        """The samples of one burst, and what was read right before and right after it, never during it."""
        assert slot.worker is not None
        pid = slot.worker.pid
        before = self._sensors.read(pid)
        reply = slot.call("burst", fields, timeout_s=self._plan.round_timeout_s)
        reading = between(before, self._sensors.read(pid), self._sensors.counter_names)
        return bytes(reply.payload), reading

    def _ready_for_round(self, slot: Slot) -> None:
        """Running; warmed up again when it had to be loaded again."""
        reloaded = slot.worker is None
        self._make_ready(slot)
        if reloaded:
            self._run_warm_up(slot)

    def _make_ready(self, slot: Slot) -> None:
        """Loaded, running and with its feed."""
        if slot.worker is not None and slot.key in self._warm_up:
            slot.resume()
            return
        slot.load(self._plan.load_timeout_s)
        entries, payload = self._feeds[slot.key]
        fields = {"tensors": entries, "cpus": self._cpus}
        slot.call("feed", fields, payload, timeout_s=self._plan.load_timeout_s)

    def _rest(self, slot: Slot) -> None:
        if self._mode == "resident":
            slot.pause()
        else:
            slot.unload()

    def _run_warm_up(self, slot: Slot) -> Dict[str, Any]:
        plan = self._plan
        fields = {
            "window_s": plan.window_s, "window_min_n": plan.window_min_n, "max_s": plan.warm_up_max_s,
            "tolerance": plan.steady_tolerance,
        }  # fmt: skip
        done: Dict[str, Any] = slot.call("warm-up", fields, timeout_s=plan.round_timeout_s).fields["warm_up"]
        return done
