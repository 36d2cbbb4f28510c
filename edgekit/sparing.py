"""Which operators stay in float: the fastest set of low-precision operators that is still close enough to float.

For a quantized candidate the target says what it quantizes and how (:class:`edgekit.targets.Sparing`). Candidates that quantize the
same operators share a search where no times tell them apart. On held-out data:

1. the range method whose simulation comes closest to float is taken, where the target leaves the choice;
2. each operator's error at the outputs is found; what it gains is the difference of its measured times in float and quantized;
3. operators are ranked: what gains nothing is spared first, then what does most damage for a second gained;
4. prefixes of that ranking that reach certain closeness to float, in simulation, are built. They are candidates like any other: the
   real artifact is compared, measured and judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from .budget import SPARING, SPARING_S, Allowance, Budget
from .building import Built
from .errors import DeviceRunError, ModelError
from .judging import open_worker
from .quantize.damage import Contribution
from .refinement import Workshop, build_and_compare, is_close
from .schemes import Int8Static
from .search import Compared, timed_feed
from .simulation import Simulation
from .sparing_sets import UNTIMED_MATTERS, Gains, Trail, closeness_of, rank, sets_worth_building
from .targets import Sparing
from .types import NodeId
from .verdict import FASTER, is_full_precision

if TYPE_CHECKING:
    from .quantize.types import RangeMethod, Sparable
    from .types import Candidate

ERRORS_SHARE, ERRORS_AT_MOST_S = 0.3, 45.0  # of the time that is left for choosing; and at most
UNTIMED_ERRORS_S = 120.0  # at most, where nothing is measured afterwards: an error that is only guessed may spoil every set
SHOWN_OPERATORS = 10
PROFILED_RUNS = 20


@dataclass(frozen=True)
class Base:
    """A quantized candidate in which some operators may be spared."""

    item: Built
    sparable: Sparable
    gains: Gains

    @property
    def method(self) -> RangeMethod:
        """How its ranges are found."""
        scheme = self.item.planned.candidate.scheme
        if isinstance(scheme, Int8Static) and not self.sparable.method_option:
            return scheme.range_method
        return self.sparable.range_method

    def variant(self, spared: Iterable[NodeId], method: RangeMethod) -> Candidate:
        """The candidate with ``spared`` in float and ranges by ``method``."""
        candidate = replace(self.item.planned.candidate, keep_float=frozenset(spared))
        if spared:
            candidate = replace(candidate, build_options={**candidate.build_options, **self.sparable.spared_options})
        if method == self.method:
            return candidate
        if isinstance(candidate.scheme, Int8Static) and not self.sparable.method_option:
            return replace(candidate, scheme=replace(candidate.scheme, range_method=method))
        return replace(candidate, build_options={**candidate.build_options, self.sparable.method_option: method})


def spare_all(workshop: Workshop, compared: Compared, budget: Budget) -> Trail:
    """Adds to ``compared`` variants of its quantized candidates that keep some operators in float; tells what was tried.

    The candidate that may become the fastest comes first; one that cannot beat the fastest float is left alone.
    """
    progress, trail = workshop.setting.progress, Trail()
    progress.stage("choosing what stays in float")
    allowance = Allowance(budget, SPARING, SPARING_S)
    wanted = [
        (item, found)
        for item, found in _sparable(workshop, compared)
        if budget.budget_s is not None or not is_close(workshop, compared.comparisons[item.id])
    ]
    if not wanted:
        return trail
    floats = [item for item in compared.built.values() if _is_float(item)]
    floats_s = {id(item.planned.target): _operator_seconds(workshop, trail, item) for item in floats}
    incumbent_s = min((sum(found.values()) for found in floats_s.values() if found), default=math.inf)
    bases = [_base(workshop, trail, item, found, floats_s) for item, found in wanted]
    groups = _groups(sorted(bases, key=lambda base: base.gains.least_s))
    for index, group in enumerate(groups):
        base = group[0]
        progress.advance(index, len(groups), base.item.id)
        if base.gains.is_measured and base.gains.least_s * FASTER > incumbent_s:
            trail.add(base.item.id, "not searched: at best hardly faster than float", estimated_s=base.gains.least_s)
        elif allowance.is_over:
            trail.add(base.item.id, f"not searched: {allowance.text}")
        else:
            try:
                _search(workshop, compared, allowance, trail, group)
            except (DeviceRunError, ModelError) as problem:  # of this candidate; the others and the verdict remain
                trail.add(base.item.id, f"not searched: {problem}")
    progress.advance(len(groups), len(groups), "chosen")
    return trail


def _base(workshop: Workshop, trail: Trail, item: Built, found: Sparable, floats_s: Mapping[int, Mapping[NodeId, float]]) -> Base:
    nodes = [each.node for each in found.items]
    return Base(item, found, _gains(workshop, trail, item, floats_s.get(id(item.planned.target), {}), nodes))


def _sparable(workshop: Workshop, compared: Compared) -> list[tuple[Built, Sparable]]:
    """Of each quantized candidate that a target offered, the closest variant, where the target has something in it to spare; one
    that differs in run options only runs what its sibling builds.
    """
    closest: dict[str, Built] = {}
    for item in compared.built.values():
        candidate = item.planned.candidate
        if candidate.run_options or candidate.keep_float or is_full_precision(candidate):
            continue
        offered = workshop.refined_from.get(item.id, item.id)
        best = closest.get(offered)
        if best is None or compared.comparisons[item.id].closeness_db > compared.comparisons[best.id].closeness_db:
            closest[offered] = item
    found = []
    for item in closest.values():
        target = item.planned.target
        if isinstance(target, Sparing):
            sparable = target.sparable(workshop.model, item.planned.candidate, item.planned.site)
            if sparable is not None and sparable.items:
                found.append((item, sparable))
    return found


def _groups(bases: Sequence[Base]) -> list[list[Base]]:
    """Bases that one search serves: the same operators of one target are quantized, and no times tell them apart."""
    groups: list[list[Base]] = []
    for base in bases:
        group = next((group for group in groups if _is_alike(group[0], base)), None)
        if group is None:
            groups.append([base])
        else:
            group.append(base)
    return groups


def _is_alike(one: Base, other: Base) -> bool:
    operators = [[(item.node, item.dynamic) for item in base.sparable.items] for base in (one, other)]
    is_measured = one.gains.is_measured or other.gains.is_measured
    return not is_measured and one.item.planned.target is other.item.planned.target and operators[0] == operators[1]


def _search(workshop: Workshop, compared: Compared, allowance: Allowance, trail: Trail, group: Sequence[Base]) -> None:
    """Adds variants of each of ``group``: what is found for the first serves all of them."""
    found = group[0]
    base, sparable, gains = found.item, found.sparable, found.gains
    simulation = Simulation(
        workshop.model,
        sparable,
        workshop.data,
        workshop.view,
        seconds=allowance.remaining_s(),
        methods=sparable.range_methods or (found.method,),
        on_method=partial(trail.add_method, base.id),
    )
    progress = workshop.setting.progress
    errors = simulation.errors(
        max(0.0, min(ERRORS_AT_MOST_S if gains.is_measured else UNTIMED_ERRORS_S, ERRORS_SHARE * allowance.remaining_s())),
        lambda done, left: progress.advance(done, done + left, f"{base.id}: errors of operators"),
        matters=math.inf if gains.is_measured else UNTIMED_MATTERS,
    )
    _record_errors(workshop, trail, group, errors)
    ranking = rank(errors, gains)
    is_base = all(each.method == simulation.method for each in group)
    sets = sets_worth_building(workshop, trail, base, simulation, ranking, gains, is_base=is_base)
    if not gains.is_measured:
        sets.reverse()  # the closest first: when time runs out, something should hold
    for spared in sets:
        for each in group:
            if allowance.is_over:
                trail.add(each.item.id, f"ended: {allowance.text}")
                return
            made = build_and_compare(workshop, compared, each.item.planned, each.variant(spared, simulation.method))
            if made is not None:
                kept = f"built with {len(spared)} of {len(ranking)} operators in float"
                trail.add(made.id, kept, **closeness_of(compared.comparisons[made.id]))


def _record_errors(workshop: Workshop, trail: Trail, group: Sequence[Base], errors: Sequence[Contribution]) -> None:
    total = sum(item.error for item in errors)
    shares = {item.node: item.error / total for item in errors[:SHOWN_OPERATORS]} if 0 < total < math.inf else {}
    trail.add(group[0].item.id, "error of each operator", operators=len(errors), largest_shares=shares)
    workshop.damage.update((base.item.id, shares) for base in group)


def _gains(workshop: Workshop, trail: Trail, base: Built, float_s: Mapping[NodeId, float], nodes: Sequence[NodeId]) -> Gains:
    quantized_s = _operator_seconds(workshop, trail, base) if float_s else {}
    if not quantized_s:
        trail.add(base.id, "the times of operators are not known: each is taken to gain alike")
        return Gains(dict.fromkeys(nodes, 1.0), len(nodes) + 1e-3, is_measured=False)
    found = Gains({node: float_s.get(node, 0.0) - quantized_s.get(node, 0.0) for node in nodes}, sum(float_s.values()))
    trail.add(
        base.id,
        "time of each operator",
        float_s=found.float_s,
        quantized_s=sum(quantized_s.values()),
        gainless=sum(gain <= 0 for gain in found.by_node.values()),
    )
    return found


def _is_float(item: Built) -> bool:
    return isinstance(item.planned.target, Sparing) and is_full_precision(item.planned.candidate)


def _operator_seconds(workshop: Workshop, trail: Trail, item: Built) -> dict[NodeId, float]:
    """Seconds an inference and operator; empty where the runtime does not tell, or this is not the device it is for."""
    from .contract import to_artifact

    if not workshop.is_timed:
        return {}
    target, session = item.planned.target, workshop.setting.session
    assert isinstance(target, Sparing)
    timed = replace(item, runner=replace(item.runner, options={**item.runner.options, "layers": True}, host_options={}))
    key = f"{item.id} by operator"
    try:
        failure = open_worker(session, key, timed)
        if failure is not None:
            raise DeviceRunError("it does not load", why=failure.message)
        feed = timed_feed(next(iter(workshop.view.feeds)), workshop.model.inputs)
        layers = session.layers(key, to_artifact(feed, item.artifact.io), runs=PROFILED_RUNS)
    except DeviceRunError as problem:  # of being watched; it runs otherwise
        trail.add(item.id, f"its operators cannot be timed: {problem}")
        return {}
    finally:
        session.close_worker(key)
    return target.operator_seconds(workshop.model, item.folder, item.artifact, layers) if layers else {}
