"""Under which conditions something was timed, in one line; and the slowest operators in a few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .text import duration, one_line

if TYPE_CHECKING:
    from ..operator_times import OperatorTime
    from ..types import ConditionSummary

SHOWN_OPERATORS = 10


def conditions_line(summary: ConditionSummary) -> str:
    """What was read, then what could not be."""
    parts = []
    if summary.clock_hz is not None:
        low, high = (value / 1e9 for value in summary.clock_hz)
        parts.append(f"clock {high:.2f} GHz" if high - low < 0.005 else f"clock {low:.2f} to {high:.2f} GHz")
    if summary.governor is not None:
        parts.append(f"governor {summary.governor}")
    if summary.temperature_c is not None:
        parts.append(f"{summary.temperature_c[0]:.0f} to {summary.temperature_c[1]:.0f} degrees Celsius")
    if summary.others is not None:
        parts.append(f"others took {summary.others:.0%} of its CPUs")
    if summary.waited is not None:
        parts.append(f"it waited {summary.waited:.0%} of the time")
    if summary.throttled:
        parts.append(f"throttled: {', '.join(summary.throttled)}")
    unread = f"; not read: {', '.join(sorted(summary.reasons))}" if summary.reasons else ""
    return one_line((", ".join(parts) or "nothing could be read") + unread)


def slowest_operators(layers: Sequence[OperatorTime]) -> Iterator[str]:
    """A line each for the slowest, with their part of the time of all operators."""
    total_s = sum(row.time_s for row in layers)
    for row in layers[:SHOWN_OPERATORS]:
        part = f"{row.time_s / total_s:4.0%} " if total_s > 0 else ""
        yield one_line(f"{part}{duration(row.time_s)} {row.op} {row.name}")
    rest = layers[SHOWN_OPERATORS:]
    if rest:
        yield f"and {len(rest)} more: {duration(sum(row.time_s for row in rest))}"
