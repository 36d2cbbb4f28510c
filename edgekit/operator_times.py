"""Times by operator, where the runtime gives them: in a worker of their own, since taking them slows inference down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .contract import to_artifact
from .errors import DeviceRunError
from .judge import start_worker
from .types import JSON, Feed

if TYPE_CHECKING:
    from .building import Built
    from .devices.session import AgentSession

RUNS = 30
MAX_OPERATORS = 10_000


@dataclass(frozen=True)
class OperatorTime:
    """One operator as the runtime runs it, fused ones as one: seconds an inference, and how often it ran in each."""

    name: str
    op: str
    time_s: float
    n: int


def operator_times(session: AgentSession, built: Built, feed: Feed) -> tuple[tuple[OperatorTime, ...] | None, str]:
    """The operators of an artifact, slowest first; or None and the reason."""
    key = f"{built.id} by operator"
    timing = replace(built, runner=replace(built.runner, options={**built.runner.options, "layers": True}))
    try:
        failure = start_worker(session, key, timing)
        if failure is not None:
            return None, f"it does not load when operators are timed ({failure.kind}): {failure.message}"
        told = session.layers(key, to_artifact(feed, built.artifact.io), runs=RUNS)
    except DeviceRunError as problem:
        return None, f"it fails when operators are timed: {problem.why or problem.what}"
    finally:
        session.close_worker(key)
    if told is None:
        return None, "its runtime tells no times by operator"
    found = read_layers(told, RUNS)
    return (found, "") if found is not None else (None, "what its runtime tells of its operators is not understood")


def read_layers(told: JSON, runs: int) -> tuple[OperatorTime, ...] | None:
    """What a runner's ``layers()`` told after ``runs`` inferences, an inference; None when it is not what runners tell.

    A row is a sum over those inferences; over ``row["runs"]`` others where the runner's profiler makes inferences of its own.
    """
    if not isinstance(told, Sequence) or isinstance(told, str):
        return None
    found = []
    for row in told[:MAX_OPERATORS]:
        try:
            name, op, time_s, n = str(row["name"]), str(row["op"]), float(row["time_s"]), int(row["n"])
            inferences = int(row.get("runs", runs))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            return None
        if not math.isfinite(time_s) or time_s < 0 or n < 0 or inferences < 1:
            return None
        found.append(OperatorTime(name, op, time_s / inferences, round(n / inferences)))
    return tuple(sorted(found, key=lambda row: -row.time_s))
