"""What the agent answers about candidates, as frozen values: text cleaned, impossible numbers refused."""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from ..agent.frames import Frame
from ..agent.timing import LOOP
from ..errors import DeviceRunError
from ..types import JSON, Measurement, Reading, RunFailure, Runner, Turn, WarmUp
from .conditions import conditions_from
from .plan import Opened
from .text import clean, clean_json

_FAILURE_KINDS = ("crash", "error", "timeout", "out-of-memory", "missing-runtime")


def failure_from(failure: Mapping[str, Any] | None) -> RunFailure | None:
    """How a candidate failed; ``None`` when it did not."""
    if failure is None:
        return None
    kind = failure.get("kind") if failure.get("kind") in _FAILURE_KINDS else "error"
    return RunFailure(
        cast("Literal['crash', 'error', 'timeout', 'out-of-memory', 'missing-runtime']", kind), clean(failure.get("message"), 2500)
    )


def opened_from(key: str, runner: Runner, fields: Mapping[str, Any]) -> Opened:
    """What loading candidate ``key`` told."""
    return Opened(
        key=key,
        load_s=float(fields["load_s"]),
        fingerprint=clean_json(fields["fingerprint"]),
        requested=dict(runner.options),
        effective=clean_json(fields["effective"]),
        peak_memory_bytes=fields["peak_memory_bytes"],
    )


def measurement_from(
    measured: Mapping[str, Any],
    fields: Mapping[str, Any],
    requested: Mapping[str, JSON],
    rounds: Sequence[tuple[float, ...]],
    readings: Sequence[Reading],
) -> Measurement:
    """A bench's result of one candidate.

    Args:
        measured: what the answer says of this candidate.
        fields: the whole answer.
        requested: the settings that its runner was given.
        rounds: its samples in seconds, by round; they came in events, as ``readings`` did.
    """
    effective: dict[str, Any] = {**clean_json(measured.get("effective") or {}), "cpus": clean_json(fields.get("cpus") or [])}
    effective |= clean_json(measured.get("details") or {})
    warm_up = measured["warm_up"]
    return Measurement(
        loop=clean(measured.get("loop") or LOOP, 40),
        rounds=tuple(rounds),
        warm_up=WarmUp(
            n=int(warm_up["n"]),
            elapsed_s=float(warm_up["elapsed_s"]),
            steady=None if warm_up["steady"] is None else bool(warm_up["steady"]),
        ),
        load_s=float(measured["load_s"]),
        first_inference_s=float(measured["first_inference_s"]),
        peak_memory_bytes=measured["peak_memory_bytes"],
        mode="reloaded" if fields["mode"] == "reloaded" else "resident",
        requested=dict(requested),
        effective=effective,
        threads=int(effective.get("threads") or requested.get("threads") or 1),
        conditions=conditions_from(fields.get("sensors"), readings),
    )


def turn_from(event: Frame) -> Turn:
    """One turn of a sustained run.

    Raises:
        DeviceRunError: it is not what the protocol says.
    """
    fields = event.fields
    try:
        cycle, at_s, n = int(fields["cycle"]), float(fields["at_s"]), int(fields["count"])
    except (KeyError, TypeError, ValueError) as problem:
        raise DeviceRunError("the agent sent a turn that cannot be read", why=f"{type(problem).__name__}: {problem}") from problem
    return Turn(cycle, at_s, n, samples_from(event))


def samples_from(event: Frame) -> tuple[float, ...]:
    """The latencies that an event brings, in seconds.

    Raises:
        DeviceRunError: they are no times, or there is none.
    """
    samples = array.array("d")
    if len(event.payload) % samples.itemsize:
        raise DeviceRunError("the agent sent samples that cannot be read")
    samples.frombytes(bytes(event.payload))
    if sys.byteorder == "big":
        samples.byteswap()
    if not samples or not all(math.isfinite(sample) and sample > 0 for sample in samples):
        raise DeviceRunError("the agent sent samples that are no times")
    return tuple(samples)
