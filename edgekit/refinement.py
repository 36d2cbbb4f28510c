"""Better variants of a candidate, found one change at a time: one is kept only if held-out data come closer, by more than chance.

Which changes are worth trying is the target's knowledge (:class:`edgekit.targets.Refining`); that they helped is shown here, on
data that the build has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .budget import REFINING, REFINING_S, Allowance, Budget
from .building import Built, build
from .chance import is_no_chance
from .errors import DataError, EdgekitError, OutputError
from .plan import Planned, plan_one
from .schemes import Scalar
from .search import Compared, Setting, compare_one, failed_row, row_of, with_evidence
from .targets import Refining
from .types import RunFailure

if TYPE_CHECKING:
    from .fidelity import Comparison
    from .judging import FloatView
    from .model import Model
    from .types import BuildData, Candidate, NodeId

KEPT_ABOVE_DB = 0.1  # a smaller rise of the closeness is a tie, and the simpler build stays


@dataclass(frozen=True)
class Workshop:
    """What every variant is built from and compared with."""

    setting: Setting
    view: FloatView
    model: Model
    data: BuildData | None
    threads: int
    is_timed: bool = True  # whether this is the device that times are wanted of
    refined_from: dict[str, str] = field(default_factory=dict)  # by candidate: the one that the target offered
    damage: dict[str, dict[NodeId, float]] = field(default_factory=dict)  # by candidate: the share of error of its worst operators


def refine_all(workshop: Workshop, compared: Compared, budget: Budget) -> None:
    """Adds to ``compared`` what its candidates were refined to, and a row for each change that did not help."""
    progress = workshop.setting.progress
    progress.stage("refining candidates")
    bases = [(item, changes) for item in compared.built.values() if (changes := _changes(workshop.model, item))]
    if budget.budget_s is None:
        bases = [(item, changes) for item, changes in bases if not is_close(workshop, compared.comparisons[item.id])]
    total = sum(len(changes) for _, changes in bases)
    done = 0
    allowance = Allowance(budget, REFINING, REFINING_S)
    for item, changes in bases:
        best = item
        for change in changes:
            if allowance.is_over:
                break  # what was found until then is put to use all the same
            progress.advance(done, total, f"{item.id} with {', '.join(f'{k}={v}' for k, v in change.items())}")
            candidate = replace(best.planned.candidate, build_options={**best.planned.candidate.build_options, **change})
            best = _better(workshop, compared, item, best, candidate)
            done += 1
        if best is not item:
            workshop.refined_from[best.id] = item.id
            _add_run_options(workshop, compared, item, best)
    progress.advance(total, total, "refined")


def is_close(workshop: Workshop, comparison: Comparison) -> bool:
    """Far on the right side of the gate already: closer still is worth the time only where a budget gives it."""
    setting, agreement = workshop.setting, comparison.agreement()
    needed = setting.gates.agreement_needed(labels=setting.evaluation is not None)
    return agreement is not None and agreement.value >= (1 + max(needed, 0.98)) / 2


def _changes(model: Model, item: Built) -> Sequence[Mapping[str, Scalar]]:
    """None for a variant that differs in run options only: it runs what its sibling builds."""
    target, candidate = item.planned.target, item.planned.candidate
    if not isinstance(target, Refining) or candidate.run_options:
        return ()
    return target.refinements(model, candidate, item.planned.site)


def _better(workshop: Workshop, compared: Compared, offered: Built, best: Built, candidate: Candidate) -> Built:
    """The variant if it is closer to float on held-out data than ``best``, which is what ``offered`` has become; else ``best``."""
    made = build_and_compare(workshop, compared, best.planned, candidate)
    if made is None:
        return best
    before, after = (compared.comparisons[item.id] for item in (best, made))
    rises = after.closeness_db > before.closeness_db + KEPT_ABOVE_DB
    if rises and is_no_chance(before.feeds_db, after.feeds_db):
        if best is not offered:  # a step on the way
            _drop(workshop, compared, best, f"{made.id} is closer to float: {_beside(after, before)}")
        return made
    beyond = ", beyond what may be chance" if rises else ""
    _drop(workshop, compared, made, f"no better than {best.id} on held-out data{beyond}: {_beside(after, before)}")
    return best


def _beside(one: Comparison, other: Comparison) -> str:
    if one.signal > 0:
        return f"SQNR {one.closeness_db:.1f} dB against {other.closeness_db:.1f} dB"
    agreements = (found.value if (found := each.agreement()) else 0.0 for each in (one, other))
    return "agreement " + " against ".join(f"{value:.3f}" for value in agreements)


def _drop(workshop: Workshop, compared: Compared, item: Built, reason: str) -> None:
    """Leaves a row with ``reason`` of a variant that is not worth measuring."""
    comparison = compared.comparisons.pop(item.id)
    compared.refused[item.id] = with_evidence(row_of(item, stage="built", reason=reason), comparison, workshop.view)
    del compared.built[item.id]
    workshop.setting.session.close_worker(item.id)


def build_and_compare(workshop: Workshop, compared: Compared, like: Planned, candidate: Candidate) -> Built | None:
    """A variant of a planned candidate, built and compared with float; None where it failed, which is a row of its own, or where it
    was there before.
    """
    planned = plan_one(like, workshop.model, candidate)
    if planned.id in compared.built or planned.id in compared.refused:
        return None
    if planned.reject is not None:
        compared.refused[planned.id] = planned.refused(str(planned.reject))
        return None
    try:
        made = build(workshop.model, planned, workshop.data, threads=workshop.threads)
    except (DataError, OutputError):
        raise
    except EdgekitError as problem:
        compared.refused[planned.id] = planned.refused(f"cannot be built: {problem}")
        return None
    comparison = compare_one(workshop.setting, workshop.view, made)
    if isinstance(comparison, RunFailure):
        compared.refused[made.id] = failed_row(made, comparison)
        return None
    compared.built[made.id], compared.comparisons[made.id] = made, comparison
    return made


def _add_run_options(workshop: Workshop, compared: Compared, item: Built, best: Built) -> None:
    """The run options that siblings of ``item`` try are tried on what it was refined to as well."""
    base = item.planned.candidate
    for sibling in [built.planned.candidate for built in compared.built.values()]:
        if sibling.run_options and replace(sibling, run_options={}) == base:
            candidate = replace(best.planned.candidate, run_options=sibling.run_options)
            build_and_compare(workshop, compared, best.planned, candidate)
