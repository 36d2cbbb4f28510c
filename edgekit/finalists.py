"""Who is scored on the evaluation data, and what comes of it.

The evaluation data score float and at most ``MAX_FINALISTS`` candidates: first those that can still win, fastest first, then the
others, closest to float first, so that the table says what they would have cost. How many were compared is reported.
"""

from __future__ import annotations

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
MIN_FINALISTS = 3


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
    order = _order(setting, compared, _incumbent(compared, results), results)
    evaluated = 0
    for index, key in enumerate(order):
        progress.advance(index, len(order), key)
        item, comparison = compared.built[key], compared.comparisons[key]
        if key == reference.id:
            rows[key] = _judged_row(setting, item, judge_scored(view, setting.gates, view.score, comparison))
        elif isinstance(results.get(key), RunFailure):
            rows[key] = with_evidence(row_of(item, stage="built", reason="not evaluated: it failed before"), comparison, view)
        elif is_full_precision(item.planned.candidate):
            rows[key] = _judged(setting, view, item, comparison)  # what everything else is compared with: never left out
        elif setting.evaluation is not None and (why := _not_evaluated(rows, evaluated, budget)):
            rows[key] = with_evidence(row_of(item, stage="built", reason=why), comparison, view)
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


def _order(
    setting: Setting,
    compared: Compared,
    incumbent: Measurement | None,
    results: Mapping[str, Measurement | RunFailure],
) -> list[str]:
    needed = setting.gates.agreement_needed(labels=setting.evaluation is not None)

    def rank(key: str) -> tuple[float, ...]:
        comparison, result = compared.comparisons[key], results.get(key)
        agreement = comparison.agreement()
        holds = agreement is not None and agreement.value >= needed and not comparison.is_broken
        closest_first = (-(agreement.value if agreement else 0.0), -comparison.closeness_db)
        if is_full_precision(compared.built[key].planned.candidate):
            return (0, *closest_first)
        if holds and incumbent is not None and isinstance(result, Measurement):
            gain = speedup(incumbent.rounds, result.rounds)
            if gain.ci95[1] > FASTER:
                return (1, -gain.value)
        return (2 if holds else 3, *closest_first)

    return sorted(compared.built, key=rank)


def _not_evaluated(rows: Mapping[str, CandidateReport], evaluated: int, budget: Budget) -> str:
    """Why no further finalist is evaluated; empty when one is.

    A spent budget ends it once something holds the gates, or ``MIN_FINALISTS`` do not.
    """
    if evaluated >= MAX_FINALISTS:
        return f"not evaluated: {MAX_FINALISTS} finalists were likelier on held-out data"
    holds = any(row.accepted and not is_full_precision(row.candidate) for row in rows.values())
    if budget.is_spent() and (holds or evaluated >= MIN_FINALISTS):
        return f"not evaluated: the budget of {budget.budget_s:g} s was used up after {evaluated} that were likelier"
    return ""


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
