"""What is spared first, and which sets are worth building: prefixes of one ranking, by how close to float they come simulated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from .building import Built
from .fidelity import Comparison
from .quantize.damage import Contribution
from .types import JSON, NodeId
from .verdict import FASTER

if TYPE_CHECKING:
    from .quantize.types import RangeMethod
    from .refinement import Workshop
    from .simulation import Simulation

LEVELS_DB = (3.0, 6.0, 9.0, 12.0, 15.0)  # above the candidate as it is, where that is too far from float
MORE_LEVELS_DB = (3.0, 6.0)  # where it is not: the evaluation data may be harder than what was held out
# Where no times are known, the closeness itself is what can be chosen. Agreement may lie: a text is wrong when one step of many is.
UNTIMED_DB = (20.0, 25.0, 30.0, 35.0)
UNTIMED_MATTERS = 0.1 * 10 ** (-max(UNTIMED_DB) / 10)  # a tenth of what the closest of these allows
MOST_SETS = 6
WORTH_A_SET_DB, WORTH_A_SET = 1.0, 1.02  # a set is another one when it is so much closer, or so much faster


@dataclass
class Trail:
    """What the search tried, in order: rows of plain JSON."""

    steps: list[dict[str, JSON]] = field(default_factory=list)

    def add(self, candidate: str, what: str, **facts: JSON) -> None:
        self.steps.append({"step": len(self.steps) + 1, "candidate": candidate, "what": what, **facts})

    def add_method(self, candidate: str, method: RangeMethod, closeness_db: float) -> None:
        self.add(candidate, f"simulated, ranges by {method}", sqnr_db=_finite(closeness_db))


@dataclass(frozen=True)
class Gains:
    """Seconds an inference that each operator saves by being quantized, and what the whole model takes in float.

    ``is_measured``: False where no times are known; then each operator counts 1, which ranks them and is no time.
    """

    by_node: Mapping[NodeId, float]
    float_s: float
    is_measured: bool = True

    def seconds(self, quantized: Iterable[NodeId]) -> float:
        """The estimated time of an inference; a quantized operator may take longer than its float form."""
        return max(self.float_s - sum(self.by_node[node] for node in quantized), 1e-3 * self.float_s)

    def speedup(self, quantized: Iterable[NodeId]) -> float:
        """The estimated speed-up over float."""
        return self.float_s / self.seconds(quantized)

    @property
    def least_s(self) -> float:
        """The estimated time with everything quantized that gains by it."""
        return self.seconds(node for node, gain in self.by_node.items() if gain > 0)


def rank(errors: Sequence[Contribution], gains: Gains) -> list[NodeId]:
    """What is spared first comes first: what gains nothing, then by error for a second gained."""

    def damage(item: Contribution) -> float:
        gain = gains.by_node[item.node]
        return math.inf if gain <= 0 else item.error / gain

    return [item.node for item in sorted(errors, key=lambda item: (-damage(item), -item.error, item.node))]


def sets_worth_building(
    workshop: Workshop,
    trail: Trail,
    base: Built,
    simulation: Simulation,
    ranking: Sequence[NodeId],
    gains: Gains,
    *,
    is_base: bool,
) -> list[Sequence[NodeId]]:
    """Prefixes of the ranking worth building, fastest first: each is the shortest that reaches some closeness to float.

    Args:
        is_base: whether the candidate as it is has the simulation's range method; sparing nothing is then nothing new.
    """
    gate = workshop.setting.gates.agreement_needed(labels=workshop.setting.evaluation is not None)
    as_it_is = simulation.of(ranking)
    levels_db = _levels_db(as_it_is.closeness_db, is_right=_agreement(as_it_is) >= gate, is_timed=gains.is_measured)
    wanted: list[Callable[[Comparison], bool]] = [lambda found: _agreement(found) >= gate]
    wanted += [partial(_reaches, level_db) for level_db in levels_db]
    lengths = {0, sum(1 for node in ranking if gains.by_node[node] <= 0)}
    lengths |= {length for holds in wanted if (length := _shortest(simulation, ranking, holds)) is not None}
    chosen: list[Sequence[NodeId]] = []
    last_db, last_s = -math.inf, math.inf
    for length in sorted(lengths - {0} if is_base else lengths):
        comparison, seconds = simulation.of(ranking[length:]), gains.seconds(ranking[length:])
        outcome = "is built"
        if gains.float_s < FASTER * seconds:
            outcome = "not built: hardly faster than float"
        elif comparison.closeness_db < last_db + WORTH_A_SET_DB and seconds > last_s / WORTH_A_SET:
            outcome = "not built: hardly different from the one before"
        elif len(chosen) >= MOST_SETS:
            outcome = f"not built: {MOST_SETS} faster ones are"
        else:
            chosen.append(ranking[:length])
            last_db, last_s = comparison.closeness_db, seconds
        trail.add(
            base.id,
            f"simulated with {length} of {len(ranking)} operators in float",
            estimated_speedup_vs_float=gains.float_s / seconds if gains.is_measured else None,
            outcome=outcome,
            **closeness_of(comparison),
        )
    return chosen


def _levels_db(as_it_is_db: float, *, is_right: bool, is_timed: bool) -> list[float]:
    """How close to float sets should come: they are looked for, and the shortest of each is built."""
    if is_timed:
        return [as_it_is_db + above_db for above_db in (MORE_LEVELS_DB if is_right else LEVELS_DB)]
    closer_db = as_it_is_db + MORE_LEVELS_DB[0]
    return [closer_db, *(level_db for level_db in UNTIMED_DB if level_db >= closer_db + WORTH_A_SET_DB)]


def _reaches(closeness_db: float, found: Comparison) -> bool:
    return found.closeness_db >= closeness_db


def _shortest(simulation: Simulation, ranking: Sequence[NodeId], holds: Callable[[Comparison], bool]) -> int | None:
    """The length of the shortest prefix that holds, by bisection; None where only sparing everything would."""
    low, high = 0, len(ranking)
    while low < high:
        middle = (low + high) // 2
        if holds(simulation.of(ranking[middle:])):
            high = middle
        else:
            low = middle + 1
    return low if low < len(ranking) else None


def closeness_of(comparison: Comparison) -> dict[str, JSON]:
    return {"sqnr_db": comparison.sqnr_db, "agreement": _agreement(comparison)}


def _agreement(comparison: Comparison) -> float:
    found = comparison.agreement()
    return found.value if found is not None else 0.0


def _finite(value_db: float) -> float | None:
    return value_db if math.isfinite(value_db) else None
