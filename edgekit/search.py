"""From candidates to judged and measured rows: build, compare with float, evaluate the finalists, measure, choose.

The search sees calibration and held-out data only. The evaluation data score float and at most ``MAX_FINALISTS`` candidates, and
how many were compared is reported.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .building import Built, build
from .errors import DataError, DependencyError, DeviceRunError, EdgekitError, ModelError, OutputError
from .fidelity import Comparison
from .gates import Gates, Judgement
from .judging import FloatView, compare, failure_of, judge_candidate, judge_scored, open_worker, predictor, view_float
from .measure.statistics import speedup, summarize, trust
from .types import BuildData, CandidateReport, Feed, Feeds, Fidelity, Measurement, RunFailure, TensorSpec
from .verdict import Choice, choose, is_full_precision

if TYPE_CHECKING:
    from .devices.session import AgentSession
    from .evaluation import Evaluation, Predict
    from .model import Model
    from .plan import Planned
    from .progress import Progress
    from .request import DeployRequest

MAX_FINALISTS = 8


class Budget:
    """The time that was allowed for trying things; ``None`` is unlimited."""

    def __init__(self, budget_s: float | None) -> None:
        self.started = time.monotonic()
        self.budget_s = budget_s

    def remaining_s(self) -> float | None:
        """What is left; None without a limit, below zero when it is overdrawn."""
        return None if self.budget_s is None else self.budget_s - (time.monotonic() - self.started)

    def is_spent(self) -> bool:
        remaining_s = self.remaining_s()
        return remaining_s is not None and remaining_s <= 0


def build_all(
    model: Model, planned: Sequence[Planned], data: BuildData | None, *, threads: int, budget: Budget, progress: Progress
) -> tuple[dict[str, Built], dict[str, CandidateReport]]:
    """Builds what is not refused. A candidate that cannot be built is a row with its reason, not the end.

    Raises:
        DataError, OutputError: no candidate's fault.
        DependencyError: the only target's vendor package is missing; one of several is a row.
    """
    progress.stage("building candidates")
    several = len({item.target.name for item in planned}) > 1
    built: dict[str, Built] = {}
    refused: dict[str, CandidateReport] = {}
    for index, item in enumerate(planned):
        progress.advance(index, len(planned), item.id)
        if item.reject is not None:
            refused[item.id] = item.refused(str(item.reject))
        elif budget.is_spent() and built:
            refused[item.id] = item.refused(f"not tried: the budget of {budget.budget_s:g} s was used up")
        else:
            try:
                built[item.id] = build(model, item, data, threads=threads)
            except (DataError, OutputError):
                raise
            except EdgekitError as problem:
                if isinstance(problem, DependencyError) and not several:
                    raise
                refused[item.id] = item.refused(f"cannot be built: {problem}")
    progress.advance(len(planned), len(planned), "built")
    return built, refused


@dataclass(frozen=True)
class Setting:
    """What stays the same for every candidate.

    ``seen``: hashes of the feeds that calibration has seen. ``scratch``: a private folder for float's outputs. ``judged_on``: which
    machine's runtime gives the outputs that are judged.
    """

    session: AgentSession
    gates: Gates
    held_out: Feeds
    synthetic: bool
    evaluation: Evaluation | None
    seen: frozenset[str]
    scratch: Path
    judged_on: Literal["host", "device"]
    progress: Progress


def look_at_float(setting: Setting, reference: Built) -> FloatView:
    """The reference's outputs and score; its worker stays open under ``reference.id``.

    Raises:
        DeviceRunError: the original model itself does not run.
    """
    setting.progress.stage("running the original in float")
    failure = open_worker(setting.session, reference.id, reference)
    if failure is not None:
        raise DeviceRunError("the original model does not run in ONNX Runtime", why=failure.message)
    predict = predictor(setting.session, reference.id, reference)
    return view_float_in(setting, predict, "float")


def view_float_in(setting: Setting, predict: Predict, name: str) -> FloatView:
    """``predict``'s view of the held-out feeds and the evaluation data, its outputs in a folder ``name`` of the scratch folder."""
    folder = setting.scratch / name
    folder.mkdir()
    return view_float(
        predict, setting.held_out, folder, synthetic=setting.synthetic, evaluation=setting.evaluation, seen=setting.seen
    )


def judge_all(
    setting: Setting, view: FloatView, reference: Built, built: Mapping[str, Built], budget: Budget
) -> tuple[dict[str, CandidateReport], int]:
    """Compares every built candidate with float on held-out feeds; then evaluates the finalists, closest to float first."""
    progress = setting.progress
    progress.stage("comparing with float")
    rows: dict[str, CandidateReport] = {}
    comparisons: dict[str, Comparison] = {}
    for index, item in enumerate(built.values()):
        progress.advance(index, len(built), item.id)
        compared = _itself(view) if item.id == reference.id else _compared(setting, view, item)
        if isinstance(compared, RunFailure):
            rows[item.id] = _row(item, stage="built", reason=f"fails when it is run ({compared.kind}): {compared.message}")
        else:
            comparisons[item.id] = compared
    progress.advance(len(built), len(built), "compared")
    finalists = sorted(comparisons, key=lambda key: _closeness(comparisons[key], built[key]), reverse=True)
    progress.stage("evaluating finalists" if setting.evaluation else "holding candidates against the gates")
    evaluated = 0
    for index, key in enumerate(finalists):
        progress.advance(index, len(finalists), key)
        item, comparison = built[key], comparisons[key]
        if key == reference.id:
            rows[key] = _judged_row(setting, item, judge_scored(view, setting.gates, view.score, comparison))
        elif setting.evaluation is not None and (why := _not_evaluated(evaluated, budget)):
            rows[key] = _with_evidence(_row(item, stage="built", reason=why), comparison, view)
        else:
            rows[key] = _judged(setting, view, item, comparison)
            evaluated += 1
    progress.advance(len(finalists), len(finalists), "judged")
    return rows, evaluated


def _not_evaluated(evaluated: int, budget: Budget) -> str:
    """Why no further finalist is evaluated; empty when one is."""
    if evaluated >= MAX_FINALISTS:
        return f"not evaluated: {MAX_FINALISTS} finalists were closer to float on held-out data"
    if evaluated and budget.is_spent():
        return f"not evaluated: the budget of {budget.budget_s:g} s was used up after {evaluated} closer to float"
    return ""


def _compared(setting: Setting, view: FloatView, item: Built) -> Comparison | RunFailure:
    failure = open_worker(setting.session, item.id, item)
    if failure is not None:
        return failure
    try:
        return compare(predictor(setting.session, item.id, item), view)
    except DeviceRunError as problem:
        return failure_of(problem)


def _closeness(comparison: Comparison, item: Built) -> tuple[bool, float, float]:
    agreement = comparison.agreement()
    return is_full_precision(item.planned.candidate), agreement.value if agreement else 0.0, comparison.closeness_db


def _judged(setting: Setting, view: FloatView, item: Built, comparison: Comparison) -> CandidateReport:
    try:
        predict = predictor(setting.session, item.id, item)
        judgement = judge_candidate(predict, view, setting.gates, setting.evaluation, setting.seen, comparison)
    except DeviceRunError as problem:
        failure = failure_of(problem)
        row = _row(item, stage="built", reason=f"fails on the evaluation data ({failure.kind}): {failure.message}")
        return _with_evidence(row, comparison, view)
    except (ModelError, DataError) as problem:
        # Float was scored, so this is of the candidate's outputs: NaN, for example. The message may name a sample, its cause not.
        row = _row(item, stage="built", reason=f"cannot be scored: {problem.why or type(problem.__cause__ or problem).__name__}")
        return _with_evidence(row, comparison, view)
    return _judged_row(setting, item, judgement)


def _itself(view: FloatView) -> Comparison:
    """The reference beside itself: what was run already is not run again."""
    comparison = Comparison(view.kinds)
    for outputs in view.outputs:
        comparison.add(outputs, outputs)
    return comparison


def _judged_row(setting: Setting, item: Built, judgement: Judgement) -> CandidateReport:
    return replace(
        _row(item, stage="judged", reason=judgement.reason),
        accepted=judgement.accepted,
        fidelity=judgement.fidelity,
        agreement=judgement.agreement,
        quality_measured_on=setting.judged_on,
    )


def _with_evidence(row: CandidateReport, comparison: Comparison, view: FloatView) -> CandidateReport:
    """A row that was not scored keeps what its comparison with float has shown."""
    agreement = comparison.agreement(synthetic=view.synthetic)
    value = agreement.value if agreement else None
    fidelity = Fidelity(comparison.sqnr_db, comparison.cosine, value, held_out_agreement=value)
    return replace(row, fidelity=fidelity, agreement=agreement)


def _row(item: Built, *, stage: str, reason: str) -> CandidateReport:
    refused = item.planned.refused(reason)
    return replace(
        refused,
        stage=stage,  # type: ignore[arg-type]  # one of Stage, given by the callers above
        latency_reason="not measured",
        size_bytes=item.size_bytes,
        provenance={**item.artifact.provenance, "from_cache": item.from_cache},
    )


def measure_all(
    setting: Setting,
    rows: Mapping[str, CandidateReport],
    built: Mapping[str, Built],
    reference: Built,
    feed: Feed,
    extra: Mapping[str, Built],
    budget: Budget,
) -> dict[str, Measurement | RunFailure]:
    """Measures every candidate that runs, with the reference (and ``extra``, by key), in interleaved rounds."""
    from .contract import to_artifact
    from .devices.plan import BenchPlan

    setting.progress.stage("measuring, interleaved")
    keys = {key: built[key] for key, row in rows.items() if row.stage == "judged"}
    keys = {reference.id: reference, **keys, **extra}
    feeds = {key: to_artifact(feed, item.artifact.io) for key, item in keys.items()}
    plan = BenchPlan().within(budget.remaining_s(), len(keys))
    return setting.session.bench(list(keys), feeds, plan, setting.progress.advance)


def timed_feed(feed: Feed, inputs: Sequence[TensorSpec]) -> Feed:
    """What is timed: one sample. A feed that holds more is cut where the model leaves the first axis free."""
    sizes = {feed[spec.name].shape[0] if feed[spec.name].ndim else 0 for spec in inputs}
    free = all(spec.shape and isinstance(spec.shape[0], str) for spec in inputs)
    if not free or len(sizes) != 1 or sizes <= {0, 1}:
        return feed
    return {spec.name: feed[spec.name][:1] for spec in inputs}


def with_measurements(
    rows: Mapping[str, CandidateReport],
    results: Mapping[str, Measurement | RunFailure],
    reference_key: str,
    float_of_target: Mapping[str, str],
) -> dict[str, CandidateReport]:
    """The rows with their latency and speed-ups; a candidate that failed while it was measured is refused."""
    finished = {}
    reference = results.get(reference_key)
    for key, row in rows.items():
        result = results.get(key)
        if isinstance(result, RunFailure):
            finished[key] = replace(row, accepted=False, reason=f"fails while it is measured ({result.kind}): {result.message}")
            continue
        if result is None:
            finished[key] = row
            continue
        own = results.get(float_of_target.get(row.target, ""))
        finished[key] = replace(
            row,
            stage="measured",
            latency_s=summarize(result.rounds),
            latency_reason="",
            speedup_vs_reference=speedup(reference.rounds, result.rounds) if isinstance(reference, Measurement) else None,
            speedup_vs_own_float=speedup(own.rounds, result.rounds) if isinstance(own, Measurement) else None,
            trust=trust(result).verdict,
            loop=result.loop,
            peak_memory_bytes=result.peak_memory_bytes,
            load_s=result.load_s,
        )
    return finished


def decide(rows: Sequence[CandidateReport], results: Mapping[str, Measurement | RunFailure], request: DeployRequest) -> Choice:
    """The verdict over rows in the order of the plan."""
    measured = {key: value for key, value in results.items() if isinstance(value, Measurement)}
    return choose(
        rows,
        measured,
        objective=request.objective,
        explicit_precision=request.precision not in ("auto", "fp32"),
        max_latency=request.max_latency,
    )
