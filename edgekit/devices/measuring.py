"""Asking the agent to measure opened candidates: side by side in rounds, in turn for minutes, and while a meter is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from ..agent.frames import Frame
from ..types import JSON, Feed, Measurement, Reading, RunFailure, Sustained
from .answers import failure_from, measurement_from, samples_from, turn_from
from .channel import OnEvent
from .conditions import conditions_from, reading_from
from .connection import MARGIN_S, Connection, Progress
from .feeds import feed_table
from .plan import BenchPlan, EnergyPlan, SustainPlan
from .text import clean

Orders = tuple[tuple[str, ...], ...]
T = TypeVar("T")


def bench(
    connection: Connection, requested: Mapping[str, Mapping[str, JSON]], feeds: Mapping[str, Feed], plan: BenchPlan,
    progress: Progress | None,
) -> tuple[dict[str, Measurement | RunFailure], Orders]:  # fmt: skip
    """See :meth:`edgekit.devices.session.AgentSession.bench`.

    Args:
        requested: the candidates, with the settings that the runner of each was given.

    Returns:
        The results, and the order of candidates in each round.
    """
    keys = list(requested)
    collected = _Collected(keys, samples_from, progress)
    fields = _measure(connection, "bench", keys, feeds, {"plan": asdict(plan)}, on_event=collected.on_event)
    results = {
        key: failure_from(fields["failures"].get(key))
        or measurement_from(fields["measured"][key], fields, requested[key], collected.parts[key], collected.readings[key])
        for key in keys
    }
    return results, tuple(tuple(order) for order in fields["orders"])


def sustain(
    connection: Connection, keys: Sequence[str], feeds: Mapping[str, Feed], plan: SustainPlan, progress: Progress | None
) -> dict[str, Sustained | RunFailure]:
    """See :meth:`edgekit.devices.session.AgentSession.sustain`."""
    collected = _Collected(keys, turn_from, progress)
    plans = {"plan": asdict(BenchPlan()), "sustain": asdict(plan)}  # candidates are warmed up as for a bench
    fields = _measure(connection, "sustain", keys, feeds, plans, step_s=plan.turn_s, on_event=collected.on_event)
    elapsed_s = float(fields["elapsed_s"])
    return {
        key: failure_from(fields["failures"].get(key))
        or Sustained(tuple(collected.parts[key]), elapsed_s, conditions_from(fields.get("sensors"), collected.readings[key]))
        for key in keys
    }


def energy(
    connection: Connection, keys: Sequence[str], feeds: Mapping[str, Feed], meter: str | None, plan: EnergyPlan, on_event: OnEvent
) -> dict[str, RunFailure]:
    """See :meth:`edgekit.devices.session.AgentSession.energy`."""
    asked = {"plan": asdict(plan), "meter": meter}
    fields = _measure(connection, "energy", keys, feeds, asked, step_s=plan.window_s + plan.settle_s, on_event=on_event)
    failures = {key: failure_from(fields["failures"].get(key)) for key in keys}
    return {key: failure for key, failure in failures.items() if failure is not None}


class _Collected(Generic[T]):
    """What the events of a measurement bring, by candidate: the parts that it consists of, and the conditions of each."""

    def __init__(self, keys: Sequence[str], part_from: Callable[[Frame], T], progress: Progress | None) -> None:
        self.parts: dict[str, list[T]] = {key: [] for key in keys}
        self.readings: dict[str, list[Reading]] = {key: [] for key in keys}
        self._part_from = part_from
        self._progress = progress

    def on_event(self, event: Frame) -> None:
        fields = event.fields
        if event.op == "sample" and fields.get("key") in self.parts:
            self.parts[fields["key"]].append(self._part_from(event))
            self.readings[fields["key"]].append(reading_from(fields.get("conditions")))
        elif event.op == "progress" and self._progress is not None:
            self._progress(int(fields["done"]), int(fields["total"]), clean(f"{fields.get('step')} {fields.get('key')}"))


def _measure(
    connection: Connection, op: str, keys: Sequence[str], feeds: Mapping[str, Feed], asked: Mapping[str, Any], *,
    step_s: float = 0.0, on_event: OnEvent,
) -> Mapping[str, Any]:  # fmt: skip
    """The answer to the measurement ``op``, which is made under the lease.

    Args:
        asked: what goes into the request besides candidates and feeds; the time-outs are added to its ``plan``.
        step_s: what lies between two events, besides loading a candidate and letting it run.
    """
    table, feed_of, payload = feed_table(keys, feeds)
    timeouts = connection.timeouts
    plan = {**asked["plan"], "load_timeout_s": timeouts.load_s, "round_timeout_s": timeouts.round_s}
    request = {"keys": list(keys), "feeds": table, "feed_of": feed_of, **asked, "plan": plan}
    silence_s = 2 * timeouts.load_s + 2 * timeouts.round_s + step_s + MARGIN_S
    with connection.lease():
        return connection.ask(op, request, payload, silence_s=silence_s, on_event=on_event).fields
