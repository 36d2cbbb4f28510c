"""Who is scored on the evaluation data, and what comes of it.

The evaluation data score float and at most ``MAX_FINALISTS`` candidates: first those that can still win, fastest first, then the
others, closest to float first, so that the table says what they would have cost. Where nothing was measured, any precision can win:
they take turns. How many were compared is reported.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from .budget import Budget
from .building import Built
from .errors import DataError, DeviceRunError, ModelError
from .fidelity import Comparison
from .gates import Judgement
from .judging import FloatView, failure_of, judge_candidate, judge_scored, predictor
from .measure.statistics import speedup
from .search import Compared, Setting, row_of, with_evidence
from .types import CandidateReport, Measurement, RunFailure
from .verdict import FASTER, is_full_precision

MAX_FINALISTS = 8
UNASKED_FINALISTS = 5  # where no budget was given, a run stays a matter of a few minutes
UNASKED_SLOW = 2  # of those that cannot win, for the table
FLOAT, CAN_WIN, TOO_SLOW, WRONG = range(4)  # the order in which they are evaluated


def judge_all(
    setting: Setting,
    view: FloatView,
    reference: Built,
    compared: Compared,
    results: Mapping[str, Measurement | RunFailure],
    budget: Budget,
    *,
    must_be_faster: bool,
) -> tuple[dict[str, CandidateReport], int]:
    """A row for everything that was compared, and how many were scored beside the reference.

    Args:
        results: of the measurement; empty when nothing was measured.
        must_be_faster: whether only what is faster than float can be the verdict; not where the user chose the precision, or asked
            for the smallest.
    """
    progress = setting.progress
    progress.stage("evaluating finalists" if setting.evaluation else "holding candidates against the gates")
    rows = dict(compared.refused)
    to_beat = _incumbent(compared, results) if must_be_faster else None
    ranks = {key: _rank(setting, compared, key, to_beat, results) for key in compared.built}
    if not results:
        ranks = _taking_turns(compared, ranks)
    waiting = sorted(ranks, key=ranks.__getitem__)
    scored = finalists = 0
    while waiting:
        key = _next(waiting, ranks, compared, rows)
        waiting.remove(key)
        progress.advance(len(ranks) - len(waiting) - 1, len(ranks), key)
        item, comparison, rank = compared.built[key], compared.comparisons[key], ranks[key][0]
        if key == reference.id and not setting.session.is_judged_there(key):
            rows[key] = _judged_row(setting, item, judge_scored(view, setting.gates, view.score, comparison))
        elif isinstance(results.get(key), RunFailure):
            rows[key] = with_evidence(row_of(item, stage="built", reason="not evaluated: it failed before"), comparison, view)
        elif setting.evaluation is not None and (
            why := _not_evaluated(_rivals(rows, item, results), finalists, rank, budget, _closer_refused(compared, rows, key))
        ):
            rows[key] = _unscored(setting, view, item, comparison, rank, why)
        else:
            rows[key] = _judged(setting, view, item, comparison)
            scored += 1
            finalists += rank != FLOAT
    progress.advance(len(ranks), len(ranks), "judged")
    return rows, scored


def _next(
    waiting: list[str], ranks: Mapping[str, tuple[float, ...]], compared: Compared, rows: Mapping[str, CandidateReport]
) -> str:
    """The likeliest of those that are left.

    What is no closer to float than one that was refused will hardly hold: a closer one comes first, so that the few evaluations are
    not spent on many shades of the same.
    """
    if ranks[waiting[0]][0] != CAN_WIN:
        return waiting[0]
    can_win = (key for key in waiting if ranks[key][0] == CAN_WIN)
    return next((key for key in can_win if not _closer_refused(compared, rows, key)), waiting[0])


def _closer_refused(compared: Compared, rows: Mapping[str, CandidateReport], key: str) -> str:
    """One that is at least as close to float as ``key`` and was refused all the same; empty where there is none.

    Outputs that are integers (classes, masks) are too coarse for that: several differ from float's equally often.
    """
    if compared.comparisons[key].signal <= 0:
        return ""
    closeness_db = compared.comparisons[key].closeness_db
    for other, row in rows.items():
        was_refused = row.stage == "judged" and not row.accepted
        if was_refused and other in compared.comparisons and compared.comparisons[other].closeness_db >= closeness_db:
            return other
    return ""


def _incumbent(compared: Compared, results: Mapping[str, Measurement | RunFailure]) -> Measurement | None:
    """The fastest full precision: what a candidate has to beat."""
    floats = [results.get(key) for key, item in compared.built.items() if is_full_precision(item.planned.candidate)]
    measured = [result for result in floats if isinstance(result, Measurement)]
    return min(measured, key=_typical_s, default=None)


def _typical_s(result: Measurement) -> float:
    return statistics.median(result.samples())


def _rank(
    setting: Setting, compared: Compared, key: str, to_beat: Measurement | None, results: Mapping[str, Measurement | RunFailure]
) -> tuple[float, ...]:
    """Sorts before others what is likelier to be the verdict. Speeds within 3 % are ties: the closer to float comes first."""
    comparison, result = compared.comparisons[key], results.get(key)
    agreement = comparison.agreement()
    needed = setting.gates.agreement_needed(labels=setting.evaluation is not None)
    closest_first = (-(agreement.value if agreement else 0.0), -comparison.closeness_db)
    if is_full_precision(compared.built[key].planned.candidate):
        return (FLOAT, *closest_first)
    if agreement is None or agreement.value < needed or comparison.is_broken:
        return (WRONG, *closest_first)
    if not isinstance(result, Measurement):
        return (CAN_WIN, *closest_first)
    if to_beat is not None and speedup(to_beat.rounds, result.rounds).ci95[1] <= FASTER:
        return (TOO_SLOW, *closest_first)
    return (CAN_WIN, round(math.log(_typical_s(result), FASTER)), *closest_first)


def _taking_turns(compared: Compared, ranks: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    """Of those that can win, the first of each precision, then the second of each."""
    turns: Counter[tuple[str, str]] = Counter()
    found = dict(ranks)
    for key in sorted(ranks, key=ranks.__getitem__):
        category, *closest_first = ranks[key]
        if category == CAN_WIN:
            candidate = compared.built[key].planned.candidate
            precision = (candidate.target, candidate.scheme.slug)
            found[key] = (category, turns[precision], *closest_first)
            turns[precision] += 1
    return found


def _rivals(
    rows: Mapping[str, CandidateReport], item: Built, results: Mapping[str, Measurement | RunFailure]
) -> dict[str, CandidateReport]:
    """The rows that ``item`` is one more choice beside: where nothing was measured, those of its own precision."""
    wanted = item.planned.candidate
    return {key: row for key, row in rows.items() if results or (row.target, row.scheme) == (wanted.target, wanted.scheme.slug)}


def _not_evaluated(rows: Mapping[str, CandidateReport], finalists: int, rank: float, budget: Budget, closer_refused: str) -> str:
    """Why this one is not evaluated; empty when it is.

    Float always is: everything else is compared with it. A spent budget ends the rest once the verdict cannot change any more.
    """
    if rank == FLOAT:
        return ""
    most = UNASKED_FINALISTS if budget.budget_s is None else MAX_FINALISTS
    if finalists >= most:
        return f"not evaluated: {most} finalists were likelier on held-out data"
    if rank == TOO_SLOW and budget.budget_s is None and finalists >= UNASKED_SLOW:
        return "not evaluated: it cannot win; give a --budget to see it scored"
    if rank == CAN_WIN and closer_refused and budget.budget_s is None:
        return (
            f"not evaluated: no closer to float than {closer_refused}, which does not hold the gates; give a --budget to try it too"
        )
    holds = any(row.accepted and not is_full_precision(row.candidate) for row in rows.values())
    if budget.is_spent() and (holds or rank != CAN_WIN):
        return f"not evaluated: the budget of {budget.budget_s:g} s was used up after {finalists} that were likelier"
    return ""


def _unscored(setting: Setting, view: FloatView, item: Built, comparison: Comparison, rank: float, why: str) -> CandidateReport:
    """What its comparison with float has shown is said even where the evaluation data were not spent on it."""
    known = {TOO_SLOW: "not faster than float", WRONG: _disagreement(setting, comparison)}.get(int(rank), "")
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
        quality_measured_on=setting.session.judged_on(item.id),
    )
