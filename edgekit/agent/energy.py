"""Windows of work between windows of idling, while a meter is read.

Runs in the session and under the lease of the latency measurement, with the same candidates, CPUs and feeds. The agent only takes
samples: what they mean is worked out by the host (``edgekit/measure/energy.py``).
"""

from __future__ import annotations

import contextlib
import random
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence

from .affinity import timing_cpus
from .bench import Emit, TensorPayload
from .errors import RunError
from .meters import Meter
from .meters.sampler import Sampler
from .slots import Slot, hold_too_much


class EnergyPlan(NamedTuple):
    """How long and how often; the host's ``EnergyPlan`` says what each means."""

    window_s: float
    settle_s: float
    repeats: int
    warm_up_s: float
    seed: int
    load_timeout_s: float
    round_timeout_s: float


class EnergyRun:
    """One run over the slots that have not failed.

    Args:
        meter: ``None`` when the host reads one itself; it is told of every window before it begins.
        pause: idles for so many seconds; raises Stop when the session ends meanwhile.
    """

    def __init__(
        self, slots: Sequence[Slot], feeds: Mapping[str, TensorPayload], plan: EnergyPlan, meter: Optional[Meter], emit: Emit,
        pause: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._slots = list(slots)
        self._feeds = feeds
        self._plan = plan
        self._meter = meter
        self._emit = emit
        self._pause = pause
        self._failures: Dict[str, Dict[str, str]] = {}
        self._fed: Dict[str, Any] = {}
        self._resident = True
        self._done = 0
        self._cpus = timing_cpus(max([int(slot.options.get("threads") or 1) for slot in slots] or [1]))

    def run(self) -> Dict[str, Any]:
        """The ``result`` of the operation; the windows have been sent as ``sample`` events by then."""
        shuffled = random.Random(self._plan.seed)  # noqa: S311 - an order of measurements, not a secret
        with contextlib.ExitStack() as stack:
            stack.callback(self._resume)  # also when the meter fails: the candidates have more to do
            for slot in self._slots:
                self._guarded(slot, self._warm_up)
            if self._meter is not None:
                stack.callback(self._meter.close)
                self._meter.start()
            self._idle()
            for _ in range(self._plan.repeats):
                order = [slot for slot in self._slots if slot.key not in self._failures]
                shuffled.shuffle(order)
                for slot in order:
                    self._guarded(slot, self._load)
                    self._idle()
        return {"failures": self._failures, "cpus": self._cpus}

    def _resume(self) -> None:
        for slot in self._slots:
            slot.resume()

    def _guarded(self, slot: Slot, step: Callable[[Slot], None]) -> None:
        """A candidate that fails drops out with its reason; the others go on."""
        try:
            if slot.key not in self._failures:
                step(slot)
        except RunError as problem:
            self._failures[slot.key] = problem.to_json()
            slot.fail(problem)

    def _warm_up(self, slot: Slot) -> None:
        self._make_ready(slot)
        if self._resident and hold_too_much(self._slots):
            self._resident = False
            for other in self._slots:
                other.unload()
        self._rest(slot)

    def _make_ready(self, slot: Slot) -> None:
        """Loaded, running, with its feed, and warm."""
        if slot.worker is not None and self._fed.get(slot.key) is slot.worker:
            slot.resume()
            return
        slot.load(self._plan.load_timeout_s)
        slot.resume()
        entries, payload = self._feeds[slot.key]
        slot.call("feed", {"tensors": entries, "cpus": self._cpus}, payload, timeout_s=self._plan.load_timeout_s)
        slot.call("work", {"duration_s": self._plan.warm_up_s}, timeout_s=self._plan.round_timeout_s)
        self._fed[slot.key] = slot.worker

    def _rest(self, slot: Slot) -> None:
        if self._resident:
            slot.pause()
        else:
            slot.unload()

    def _load(self, slot: Slot) -> None:
        self._make_ready(slot)
        fields = {"duration_s": self._plan.settle_s + self._plan.window_s}
        timeout_s = self._plan.round_timeout_s + fields["duration_s"]
        self._window(slot.key, lambda: slot.call("work", fields, timeout_s=timeout_s).fields["worked"])
        self._rest(slot)

    def _idle(self) -> None:
        def do_nothing() -> Dict[str, Any]:
            start_s = time.monotonic()
            self._pause(self._plan.settle_s + self._plan.window_s)
            return {"n": 0, "start_s": start_s, "end_s": time.monotonic()}

        self._window(None, do_nothing)

    def _window(self, key: Optional[str], do: Callable[[], Dict[str, Any]]) -> None:
        """Sends what was done, and what the meter said meanwhile."""
        total = 1 + 2 * self._plan.repeats * len(self._slots)
        what = "idle" if key is None else "load"
        self._emit("progress", {"step": "energy", "key": key or "", "what": what, "done": self._done, "total": total}, b"")
        self._done += 1
        with contextlib.ExitStack() as stack:
            sampler = stack.enter_context(Sampler(self._meter)) if self._meter is not None else None
            done = do()
        fields = {"key": key, "inferences": done["n"], "start_s": done["start_s"], "end_s": done["end_s"]}
        failure, payload = (sampler.failure, sampler.payload()) if sampler is not None else ("", b"")
        self._emit("sample", {**fields, "failure": failure}, payload)
