"""The steps of a search: build, compare with float on held-out data, measure, choose.

What refines a candidate is :mod:`edgekit.refinement`; who is evaluated, :mod:`edgekit.finalists`. The search sees calibration and
held-out data only.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .building import Built, build
from .errors import DataError, DependencyError, DeviceRunError, EdgekitError, ModelError, OutputError
from .fidelity import Comparison
from .gates import Gates
from .judging import FloatView, compare, failure_of, open_worker, predictor, view_float
from .measure.statistics import speedup, summarize
from .measure.trust import summarize_conditions, trust
from .types import BuildData, CandidateReport, Feed, Feeds, Fidelity, Measurement, RunFailure, Site, Stage, TensorSpec
from .verdict import NOT_TRIED, Choice, choose, is_full_precision

if TYPE_CHECKING:
    from .evaluation import Evaluation, Predict
    from .judge import Judge
    from .model import Model
    from .plan import Planned
    from .progress import Progress
    from .request import DeployRequest


BUILDING, REFINING, SPARING = 0.4, 0.5, 0.75  # of the budget; the rest is for measuring and evaluating
REFINING_S, SPARING_S = 10.0, 15.0  # where no budget was given, a run stays a matter of a few minutes


class Budget:
    """The time that was allowed for trying things; ``None`` is unlimited."""

    def __init__(self, budget_s: float | None) -> None:
        self.started = time.monotonic()
        self.budget_s = budget_s

    def remaining_s(self) -> float | None:
        """What is left; None without a limit, below zero when it is overdrawn."""
        return None if self.budget_s is None else self.budget_s - (time.monotonic() - self.started)

    def forgive(self, seconds: float) -> None:
        """Time that was spent waiting for somebody else is not counted."""
        self.started += seconds

    def is_spent(self, share: float = 1.0) -> bool:
        """Whether ``share`` of it is gone: what comes first must leave something for what comes after."""
        remaining_s = self.remaining_s()
        return remaining_s is not None and self.budget_s is not None and remaining_s <= (1 - share) * self.budget_s


class Allowance:
    """How long one optional step may go on: up to a share of the budget; without a budget, some seconds."""

    def __init__(self, budget: Budget, share: float, unasked_s: float) -> None:
        self._budget = budget
        self._share = share
        self._ends = time.monotonic() + unasked_s
        self.text = f"{share:.0%} of the budget was used up" if budget.budget_s is not None else f"{unasked_s:g} s without --budget"

    def remaining_s(self) -> float:
        left_s = self._budget.remaining_s()
        if left_s is None or self._budget.budget_s is None:
            return self._ends - time.monotonic()
        return left_s - (1 - self._share) * self._budget.budget_s

    @property
    def is_over(self) -> bool:
        return self.remaining_s() <= 0


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

    A target whose vendor package is missing has one row that says so, whatever it would have offered.

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
    impossible: list[ModelError] = []
    owed = _likeliest_beside_float(planned) if asked_for else frozenset()
    for index, item in enumerate(_likeliest_of_each_target_first(planned)):
        progress.advance(index, len(planned), item.id)
        if item.target.name in missing:
            continue  # one row says it
        if item.reject is not None:
            refused[item.id] = item.refused(str(item.reject))
            impossible += _impossible(model, item)
        elif budget.is_spent(BUILDING) and built and item.id not in owed:
            refused[item.id] = item.refused(f"{NOT_TRIED}{BUILDING:.0%} of the budget of {budget.budget_s:g} s was used up")
        else:
            try:
                built[item.id] = build(model, item, data, threads=threads)
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
