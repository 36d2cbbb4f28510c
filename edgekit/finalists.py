"""Who is scored on the evaluation data, and what comes of it.

The evaluation data score float and at most ``MAX_FINALISTS`` candidates: first those that can still win, fastest first, then the
others, closest to float first, so that the table says what they would have cost. How many were compared is reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from .building import Built
from .errors import DataError, DeviceRunError, ModelError
from .fidelity import Comparison
from .gates import Judgement
from .judging import FloatView, failure_of, judge_candidate, judge_scored, predictor
from .measure.statistics import speedup
from .search import Budget, Compared, Setting, row_of, with_evidence
from .types import CandidateReport, Measurement, RunFailure
from .verdict import FASTER, is_full_precision

MAX_FINALISTS = 8


def judge_all(
    setting: Setting,
    view: FloatView,
    reference: Built,
    compared: Compared,
    results: Mapping[str, Measurement | RunFailure],
    budget: Budget,
) -> tuple[dict[str, CandidateReport], int]:
    """A row for everything that was compared, and how many were scored."""
    progress = setting.progress
    progress.stage("evaluating finalists" if setting.evaluation else "holding candidates against the gates")
    rows = dict(compared.refused)
    ranks = {key: _rank(setting, compared, key, _incumbent(compared, results), results) for key in compared.built}
    order = sorted(ranks, key=ranks.__getitem__)
    evaluated = 0
    for index, key in enumerate(order):
        progress.advance(index, len(order), key)
        item, comparison = compared.built[key], compared.comparisons[key]
        can_win = ranks[key][0] == CAN_WIN or not results
        if key == reference.id:
            rows[key] = _judged_row(setting, item, judge_scored(view, setting.gates, view.score, comparison))
        elif isinstance(results.get(key), RunFailure):
            rows[key] = with_evidence(row_of(item, stage="built", reason="not evaluated: it failed before"), comparison, view)
        elif is_full_precision(item.planned.candidate):
            rows[key] = _judged(setting, view, item, comparison)  # what everything else is compared with: never left out
        elif setting.evaluation is not None and (why := _not_evaluated(rows, evaluated, can_win, budget)):
            rows[key] = _unscored(setting, view, item, comparison, int(ranks[key][0]) if results else CAN_WIN, why)
        else:
            rows[key] = _judged(setting, view, item, comparison)
            evaluated += 1
    progress.advance(len(order), len(order), "judged")
    return rows, evaluated


def _incumbent(compared: Compared, results: Mapping[str, Measurement | RunFailure]) -> Measurement | None:
    """The fastest full precision: what a candidate has to beat."""
    floats = [results.get(key) for key, item in compared.built.items() if is_full_precision(item.planned.candidate)]
    measured = [result for result in floats if isinstance(result, Measurement)]
    return min(measured, key=_typical_s, default=None)


def _typical_s(result: Measurement) -> float:
    samples = sorted(result.samples())
    return samples[len(samples) // 2]


FLOAT, CAN_WIN, TOO_SLOW, WRONG = range(4)  # the order in which they are evaluated


def _rank(
    setting: Setting, compared: Compared, key: str, incumbent: Measurement | None, results: Mapping[str, Measurement | RunFailure]
) -> tuple[float, ...]:
    """Sorts before others what is likelier to be the verdict. Speeds within 3 % are ties: the closer to float comes first."""
    comparison, result = compared.comparisons[key], results.get(key)
    agreement = comparison.agreement()
    needed = setting.gates.agreement_needed(labels=setting.evaluation is not None)
    holds = agreement is not None and agreement.value >= needed and not comparison.is_broken
    closest_first = (-(agreement.value if agreement else 0.0), -comparison.closeness_db)
    if is_full_precision(compared.built[key].planned.candidate):
        return (FLOAT, *closest_first)
    if holds and incumbent is not None and isinstance(result, Measurement):
        gain = speedup(incumbent.rounds, result.rounds)
        if gain.ci95[1] > FASTER:
            return (CAN_WIN, -round(math.log(gain.value, FASTER)), *closest_first)
    return (TOO_SLOW if holds else WRONG, *closest_first)


def _not_evaluated(rows: Mapping[str, CandidateReport], evaluated: int, can_win: bool, budget: Budget) -> str:
    """Why this finalist is not evaluated; empty when it is. A spent budget ends it once the verdict cannot change any more."""
    if evaluated >= MAX_FINALISTS:
        return f"not evaluated: {MAX_FINALISTS} finalists were likelier on held-out data"
    holds = any(row.accepted and not is_full_precision(row.candidate) for row in rows.values())
    if budget.is_spent() and (holds or not can_win):
        return f"not evaluated: the budget of {budget.budget_s:g} s was used up after {evaluated} that were likelier"
    return ""


def _unscored(setting: Setting, view: FloatView, item: Built, comparison: Comparison, rank: int, why: str) -> CandidateReport:
    """What its comparison with float has shown is said even where the evaluation data were not spent on it."""
    known = {TOO_SLOW: "not faster than float", WRONG: _disagreement(setting, comparison)}.get(rank, "")
    reason = "; ".join(part for part in (known, why) if part)
    return with_evidence(row_of(item, stage="built", reason=reason), comparison, view)


def _disagreement(setting: Setting, comparison: Comparison) -> str:
    agreement = comparison.agreement()
    needed = setting.gates.agreement_needed(labels=setting.evaluation is not None)
    shown = "none" if agreement is None else f"{agreement.value:.3f}"
    return f"agreement with float on held-out data is {shown}, below {needed:g}"


def _judged(setting: Setting, view: FloatView, item: Built, comparison: Comparison) -> CandidateReport:
    try:
        predict = predictor(setting.session, item.id, item)
        judgement = judge_candidate(predict, view, setting.gates, setting.evaluation, setting.seen, comparison)
    except DeviceRunError as problem:
        failure = failure_of(problem)
        row = row_of(item, stage="built", reason=f"fails on the evaluation data ({failure.kind}): {failure.message}")
        return with_evidence(row, comparison, view)
    except (ModelError, DataError) as problem:
        # Float was scored, so this is of the candidate's outputs: NaN, for example. The message may name a sample, its cause not.
        reason = f"cannot be scored: {problem.why or type(problem.__cause__ or problem).__name__}"
        return with_evidence(row_of(item, stage="built", reason=reason), comparison, view)
    return _judged_row(setting, item, judgement)


def _judged_row(setting: Setting, item: Built, judgement: Judgement) -> CandidateReport:
    return replace(
        row_of(item, stage="judged", reason=judgement.reason),
        accepted=judgement.accepted,
        fidelity=judgement.fidelity,
        agreement=judgement.agreement,
        quality_measured_on=setting.judged_on,
    )
