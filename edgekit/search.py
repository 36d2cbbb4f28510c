"""The steps of a search that every candidate goes through once it is built: compare with float on held-out data, measure, choose.

What builds candidates is :mod:`edgekit.construction`; what refines one, :mod:`edgekit.refinement`; who is evaluated,
:mod:`edgekit.finalists`. The search sees calibration and held-out data only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .building import Built
from .errors import DeviceRunError
from .fidelity import Comparison
from .gates import Gates
from .judging import FloatView, compare, failure_of, open_worker, predictor, view_float
from .measure.statistics import speedup, summarize
from .measure.trust import summarize_conditions, trust
from .types import CandidateReport, Feed, Feeds, Fidelity, Measurement, RunFailure, Stage, TensorSpec
from .verdict import Choice, choose

if TYPE_CHECKING:
    from .budget import Budget
    from .evaluation import Evaluation, Predict
    from .judge import Judge
    from .progress import Progress
    from .request import DeployRequest


@dataclass(frozen=True)
class Setting:
    """What stays the same for every candidate.

    ``session``: takes the outputs that are judged, here or on the device. ``seen``: hashes of the feeds that calibration has seen.
    ``scratch``: a private folder for float's outputs.
    """

    session: Judge
    gates: Gates
    held_out: Feeds
    synthetic: bool
    evaluation: Evaluation | None
    seen: frozenset[str]
    scratch: Path
    progress: Progress


def look_at_float(setting: Setting, reference: Built) -> FloatView:
    """The reference's outputs and score, on this machine; its worker stays open there under ``reference.id``.

    Raises:
        DeviceRunError: the original model itself does not run.
    """
    setting.progress.stage("running the original in float")
    failure = open_worker(setting.session.host, reference.id, reference)
    if failure is not None:
        raise DeviceRunError("the original model does not run in ONNX Runtime", why=failure.message)
    predict = predictor(setting.session.host, reference.id, reference)
    return view_float_in(setting, predict, "float")


def view_float_in(setting: Setting, predict: Predict, name: str) -> FloatView:
    """``predict``'s view of the held-out feeds and the evaluation data, its outputs in a folder ``name`` of the scratch folder."""
    folder = setting.scratch / name
    folder.mkdir()
    return view_float(
        predict, setting.held_out, folder, synthetic=setting.synthetic, evaluation=setting.evaluation, seen=setting.seen
    )


@dataclass
class Compared:
    """What ran on the held-out feeds, and how close to float it came; rows of what did not, or was not kept."""

    built: dict[str, Built]
    comparisons: dict[str, Comparison]
    refused: dict[str, CandidateReport]


def compare_all(setting: Setting, view: FloatView, reference: Built, built: Mapping[str, Built]) -> Compared:
    """Runs every built candidate beside float on held-out feeds. Its worker stays open."""
    progress = setting.progress
    progress.stage("comparing with float")
    found = Compared({}, {}, {})
    for index, item in enumerate(built.values()):
        progress.advance(index, len(built), item.id)
        compared = _compare_reference(setting, view, item) if item.id == reference.id else compare_one(setting, view, item)
        if isinstance(compared, RunFailure):
            found.refused[item.id] = failed_row(item, compared)
        else:
            found.built[item.id], found.comparisons[item.id] = item, compared
    progress.advance(len(built), len(built), "compared")
    return found


def compare_one(setting: Setting, view: FloatView, item: Built) -> Comparison | RunFailure:
    """One candidate beside float; its worker stays open when it ran. What fails on this machine is tried on a remote device."""
    judge = setting.session
    failure = open_worker(judge, item.id, item)
    while failure is None:
        try:
            return compare(predictor(judge, item.id, item), view)
        except DeviceRunError as problem:
            failure = failure_of(problem)
            if judge.is_remote and not judge.is_judged_there(item.id):
                failure = judge.judge_on_device(item.id, item)
    return failure


def _compare_reference(setting: Setting, view: FloatView, reference: Built) -> Comparison | RunFailure:
    """The reference as a candidate. Where it is judged on this machine that is itself: what was run already is not run again."""
    if setting.session.judges_all_there:
        return compare_one(setting, view, reference)
    comparison = Comparison(view.kinds)
    for outputs in view.outputs:
        comparison.add(outputs, outputs)
    return comparison


def failed_row(item: Built, failure: RunFailure) -> CandidateReport:
    return row_of(item, stage="built", reason=f"fails when it is run ({failure.kind}): {failure.message}")


def row_of(item: Built, *, stage: Stage, reason: str) -> CandidateReport:
    """The row of a candidate that became an artifact."""
    return replace(
        item.planned.refused(reason),
        stage=stage,
        latency_reason="not measured",
        size_bytes=item.size_bytes,
        provenance={**item.artifact.provenance, "from_cache": item.from_cache},
    )


def with_evidence(row: CandidateReport, comparison: Comparison, view: FloatView) -> CandidateReport:
    """A row that was not scored keeps what its comparison with float has shown."""
    agreement = comparison.agreement(synthetic=view.synthetic)
    value = agreement.value if agreement else None
    fidelity = Fidelity(comparison.sqnr_db, comparison.cosine, value, held_out_agreement=value)
    return replace(row, fidelity=fidelity, agreement=agreement)


def measure_all(
    setting: Setting, candidates: Mapping[str, Built], reference: Built, feed: Feed, extra: Mapping[str, Built], budget: Budget
) -> dict[str, Measurement | RunFailure]:
    """Measures every candidate that ran, with the reference (and ``extra``, by key), in interleaved rounds.

    A reference or extra that a remote device cannot run is left out: what is compared with it is then not known.
    """
    from .contract import to_artifact
    from .devices.plan import BenchPlan

    setting.progress.stage("measuring, interleaved")
    keys = {reference.id: reference, **candidates, **extra}
    if setting.session.is_remote:
        keys = {key: item for key, item in keys.items() if setting.session.open_on_device(key, item) is None}
    feeds = {key: to_artifact(feed, item.artifact.io) for key, item in keys.items()}
    plan = BenchPlan().within(budget.remaining_s(), len(keys))
    return setting.session.device.bench(list(keys), feeds, plan, setting.progress.advance)


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
        own, trusted = results.get(float_of_target.get(row.target, "")), trust(result)
        finished[key] = replace(
            row,
            stage="measured" if row.stage == "judged" else row.stage,
            latency_s=summarize(result.rounds),
            latency_reason="",
            speedup_vs_reference=speedup(reference.rounds, result.rounds) if isinstance(reference, Measurement) else None,
            speedup_vs_own_float=speedup(own.rounds, result.rounds) if isinstance(own, Measurement) else None,
            trust=trusted.verdict,
            trust_reason=trusted.reason,
            conditions=summarize_conditions(result.conditions),
            loop=result.loop,
            peak_memory_bytes=result.peak_memory_bytes,
            load_s=result.load_s,
        )
    return finished


def decide(
    rows: Sequence[CandidateReport],
    results: Mapping[str, Measurement | RunFailure],
    request: DeployRequest,
    joules: Mapping[str, Sequence[float]],
) -> Choice:
    """The verdict over rows in the order of the plan; ``joules``: gross, an inference, by candidate, one value a repeat."""
    measured = {key: value for key, value in results.items() if isinstance(value, Measurement)}
    return choose(
        rows,
        measured,
        objective=request.objective,
        explicit_precision=request.has_chosen_precision,
        max_latency=request.max_latency,
        joules=joules,
    )
