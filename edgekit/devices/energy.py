"""Measuring the energy of candidates that are open in a session: windows planned, samples collected, joules worked out."""

from __future__ import annotations

import array
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..agent.meters.sampler import Sampler
from ..errors import DeviceRunError
from ..measure.energy import EnergyEstimate, MeterFacts, Window, estimate, settle_s, window_length_s
from .plan import EnergyPlan
from .text import clean

if TYPE_CHECKING:
    from ..agent.frames import Frame
    from ..types import Feed
    from .connection import Progress
    from .meters import FoundMeter
    from .session import AgentSession


@dataclass(frozen=True)
class EnergyResult:
    """One candidate's energy; where ``estimate`` is None, ``reason`` says why."""

    estimate: EnergyEstimate | None
    reason: str = ""


def plan_energy(meter: MeterFacts, latencies_s: Sequence[float], *, repeats: int = 5) -> EnergyPlan:
    """Windows that are long enough for the meter and for the slowest candidate.

    Args:
        latencies_s: seconds an inference, of every candidate.
    """
    return EnergyPlan(window_length_s(meter.period_s, max(latencies_s)), settle_s(meter.period_s), repeats=repeats)


def measure_energy(
    session: AgentSession, keys: Sequence[str], feeds: Mapping[str, Feed], found: FoundMeter, plan: EnergyPlan,
    progress: Progress | None = None,
) -> dict[str, EnergyResult]:  # fmt: skip
    """Measures opened candidates in turn, under the session's lease. One that fails drops out; the others go on.

    Args:
        found: the meter, from :func:`edgekit.devices.meters.find_meter`; it must have been found.

    Returns:
        A result for every key.

    Raises:
        DeviceRunError: the device's meter cannot be read any more, or its samples make no sense.
    """
    assert found.facts is not None
    collector = _Collector(found, progress)
    with collector:
        meter = None if found.wall is not None else found.facts.name
        failures = session.energy(keys, feeds, meter, plan, collector.on_event)
    if collector.problem:
        raise DeviceRunError("the agent sent a meter's samples that cannot be read", why=collector.problem)
    results = {}
    for key in keys:
        if key in failures:
            results[key] = EnergyResult(None, f"it failed while its energy was measured ({failures[key].kind})")
            continue
        try:
            results[key] = EnergyResult(estimate(found.facts, collector.windows, key))
        except ValueError as problem:
            results[key] = EnergyResult(None, f"{found.facts.name}: {problem}")
    return results


class _Collector:
    """Takes the events of a run; reads a plug itself from the beginning to the end of each window.

    ``problem``: why an event could not be read; it is kept until the agent has answered, so that the session can go on.
    """

    def __init__(self, found: FoundMeter, progress: Progress | None) -> None:
        assert found.facts is not None
        self.windows: list[Window] = []
        self.problem = ""
        self._facts = found.facts
        self._wall = found.wall
        self._progress = progress
        self._reading = contextlib.ExitStack()
        self._sampler: Sampler | None = None
        self._began_s = 0.0

    def __enter__(self) -> _Collector:
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.close()

    def on_event(self, event: Frame) -> None:
        fields = event.fields
        try:
            if event.op == "progress" and fields.get("step") == "energy":
                self._begin(fields)
            elif event.op == "sample":
                self.windows.append(self._window(fields, event.payload))
        except (KeyError, TypeError, ValueError) as problem:
            self.problem = self.problem or f"{type(problem).__name__}: {problem}"

    def _begin(self, fields: Mapping[str, Any]) -> None:
        if self._progress is not None:
            what = f"energy, {clean(fields['what'], 20)} {clean(fields['key'])}".rstrip()
            self._progress(int(fields["done"]), int(fields["total"]), what)
        if self._wall is not None:
            self._reading.close()
            self._sampler = self._reading.enter_context(Sampler(self._wall))
            self._began_s = time.monotonic()

    def _window(self, fields: Mapping[str, Any], payload: bytes | bytearray) -> Window:
        key, start_s, end_s, n = fields["key"], float(fields["start_s"]), float(fields["end_s"]), int(fields["inferences"])
        if not 0 < end_s - start_s < 1e5 or (key is not None and n < 1):
            raise ValueError(f"a window of {end_s - start_s} s with {n} inferences")
        failure = clean(fields["failure"], 300)
        if self._wall is not None:
            # The plug is read by this machine's clock; how long the window was, the device knows better.
            assert self._sampler is not None
            self._reading.close()
            payload, failure = self._sampler.payload(), clean(self._sampler.failure, 300)
            start_s, end_s = self._began_s, self._began_s + (end_s - start_s)
        times, values = _samples(payload, len(self._facts.rails))
        return Window(None if key is None else str(key), start_s, end_s, n, times, values, failure)


def _samples(payload: bytes | bytearray, rails: int) -> tuple[Any, Any]:
    """Times (samples,) and values (samples, rails) from little-endian float64."""
    numbers = array.array("d")
    if len(payload) % (numbers.itemsize * (rails + 1)):
        raise ValueError(f"{len(payload)} bytes are no samples of {rails} rails")
    numbers.frombytes(bytes(payload))
    if sys.byteorder == "big":
        numbers.byteswap()
    table = np.array(numbers, dtype=np.float64).reshape(-1, rails + 1)
    if not np.isfinite(table).all() or (np.diff(table[:, 0]) < 0).any():
        raise ValueError("samples that are no readings in the order of time")
    return table[:, 0], table[:, 1:]
