"""Building everything that is planned: in turns, within the budget, and with a reason for everyone that cannot be built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .budget import BUILDING, Budget
from .building import Built, build
from .errors import DataError, DependencyError, EdgekitError, ModelError, OutputError
from .types import BuildData, CandidateReport, Site
from .verdict import NOT_TRIED, is_full_precision

if TYPE_CHECKING:
    from .model import Model
    from .plan import Planned
    from .progress import Progress


def build_all(
    model: Model,
    planned: Sequence[Planned],
    data: BuildData | None,
    *,
    threads: int,
    budget: Budget,
    progress: Progress,
    asked_for: bool = False,
) -> tuple[dict[str, Built], dict[str, CandidateReport]]:
    """Builds what is not refused. A candidate that cannot be built is a row with its reason, not the end.

    A target whose vendor package is missing has one row that says so, whatever it would have offered. Where it has built something
    without that package, its other candidates are tried as well.

    Args:
        asked_for: a precision was named, so each target builds its likeliest of that, however little time there is.

    Raises:
        DataError, OutputError: no candidate's fault.
        DependencyError: the vendor packages of all targets are missing.
        ModelError: no target can express the model, not even in full precision.
    """
    progress.stage("building candidates")
    built: dict[str, Built] = {}
    refused: dict[str, CandidateReport] = {}
    missing: dict[str, DependencyError] = {}  # by target
    able: set[str] = set()  # targets that have built something
    impossible: list[ModelError] = []
    owed = _likeliest_beside_float(planned) if asked_for else frozenset()
    for index, item in enumerate(_likeliest_of_each_target_first(planned)):
        progress.advance(index, len(planned), item.id)
        if item.target.name in missing and item.target.name not in able:
            continue  # one row says it
        if item.reject is not None:
            refused[item.id] = item.refused(str(item.reject))
            impossible += _impossible(model, item)
        elif budget.is_spent(BUILDING) and built and item.id not in owed:
            refused[item.id] = item.refused(f"{NOT_TRIED}{BUILDING:.0%} of the budget of {budget.budget_s:g} s was used up")
        else:
            try:
                built[item.id] = build(model, item, data, threads=threads)
                able.add(item.target.name)
            except (DataError, OutputError):
                raise
            except EdgekitError as problem:
                if isinstance(problem, DependencyError):
                    missing[item.target.name] = problem
                if isinstance(problem, ModelError) and is_full_precision(item.candidate):
                    impossible.append(problem)
                refused[item.id] = item.refused(f"cannot be built: {problem}")
    if missing and not built:
        raise next(iter(missing.values()))
    if impossible and not built:
        raise impossible[0]
    progress.advance(len(planned), len(planned), "built")
    return built, refused


def _impossible(model: Model, item: Planned) -> list[ModelError]:
    """Why the target cannot express the model at all: it refuses full precision, on any device."""
    if not is_full_precision(item.candidate):
        return []
    refused = item.target.reject(model, item.candidate, Site(item.site.profile, None))
    if refused is None:
        return []
    return [ModelError(f"{item.target.name} cannot express this model", why=refused.why, hint=refused.instead)]


def _likeliest_of_each_target_first(planned: Sequence[Planned]) -> list[Planned]:
    """Targets take turns, so that a budget that runs out does not leave the last one untried."""
    turn: Counter[str] = Counter()
    ranked = []
    for item in planned:
        ranked.append((turn[item.target.name], item))
        turn[item.target.name] += 1
    return [item for _, item in sorted(ranked, key=lambda pair: pair[0])]


def _likeliest_beside_float(planned: Sequence[Planned]) -> frozenset[str]:
    likeliest: dict[str, str] = {}
    for item in planned:
        if item.reject is None and not is_full_precision(item.candidate):
            likeliest.setdefault(item.target.name, item.id)
    return frozenset(likeliest.values())
