"""What each operator costs in error when it alone, or with others, is quantized.

One run a feed tells every operator's own error (:func:`own_errors`): beside each operator stands a twin that reads the same float
values in quantized form, and only the energies of the result and of the difference leave the graph. How much of that arrives at the
outputs is measured for groups (:func:`contributions`), which are halved where the damage is: the damage of a net sits in a few
operators, so a few dozen runs find them among thousands.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..types import NodeId

#: Measures the error energy at the outputs, relative to float's energy, with these operators quantized.
ErrorOf = Callable[[Sequence[NodeId]], float]

_FIRST_SINGLES = 8  # the operators with the largest errors of their own are looked at one by one at once
_NEGLIGIBLE = 0.01  # a group with less of the whole damage than this is not split further


@dataclass(frozen=True)
class Contribution:
    """The share of the output's error energy that an operator causes. ``alone``: it was measured by itself, not within a group."""

    node: NodeId
    error: float
    alone: bool


def contributions(
    own_errors: Mapping[NodeId, float],
    error_of: ErrorOf,
    *,
    seconds: float,
    matters: float = math.inf,
    on_group: Callable[[int, int], None] | None = None,
) -> list[Contribution]:
    """Each operator's error at the outputs, largest first.

    Errors of independent roundings add up in energy, so that a group's error is the sum of its members'. Within a group that was
    not split it is shared out by the members' own errors.

    Args:
        own_errors: error energy relative to signal at each operator's own output.
        error_of: see :data:`ErrorOf`.
        seconds: when this time is spent, what has been found must do.
        matters: an error that still matters, where that may be less than a hundredth of all: groups with as much are split.
        on_group: told how many groups were measured, and how many wait.
    """
    ranked = sorted(own_errors, key=lambda node: (-own_errors[node], node))
    started, measured = time.monotonic(), 0
    waiting: list[tuple[float, int, tuple[NodeId, ...]]] = []
    done: list[tuple[float, tuple[NodeId, ...]]] = []
    total = 0.0

    def measure(group: tuple[NodeId, ...]) -> float:
        nonlocal measured
        error = error_of(group)
        measured += 1
        if len(group) > 1:
            heapq.heappush(waiting, (-error, measured, group))
        else:
            done.append((error, group))
        if on_group is not None:
            on_group(measured, len(waiting))
        return error

    for group in _first_groups(ranked):
        total += measure(group)
    while waiting and time.monotonic() - started < seconds:
        error, _, group = heapq.heappop(waiting)
        if -error <= min(_NEGLIGIBLE * total, matters) or not math.isfinite(total):
            done.append((-error, group))
            continue
        half = len(group) // 2
        measure(group[:half])
        measure(group[half:])
    done += [(-error, group) for error, _, group in waiting]
    found = [item for error, group in done for item in _shared_out(error, group, own_errors)]
    return sorted(found, key=lambda item: (-item.error, item.node))


def _first_groups(ranked: Sequence[NodeId]) -> list[tuple[NodeId, ...]]:
    """Single operators first, then groups of doubling size: the further down the ranking, the less is expected of one."""
    groups: list[tuple[NodeId, ...]] = [(node,) for node in ranked[:_FIRST_SINGLES]]
    position, size = _FIRST_SINGLES, 2
    while position < len(ranked):
        groups += [tuple(ranked[start : start + size]) for start in range(position, min(position + 2 * size, len(ranked)), size)]
        position += 2 * size
        size *= 2
    return groups


def _shared_out(error: float, group: tuple[NodeId, ...], own_errors: Mapping[NodeId, float]) -> list[Contribution]:
    whole = sum(own_errors[node] for node in group)
    if len(group) == 1 or not 0 < whole < math.inf:
        return [Contribution(node, error / len(group), len(group) == 1) for node in group]
    return [Contribution(node, error * own_errors[node] / whole, alone=False) for node in group]
