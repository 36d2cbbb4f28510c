"""One run, from the plan to the verdict: build, compare, evaluate, measure, decide."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import metering, search, sustaining, toolchain
from .attesting import attest
from .baseline import BASELINE_KEY, compare_with_baseline, view_baseline
from .building import Built, build, tool_versions
from .connections import sessions_of
from .device_check import check_on_device, timing_remark, with_place_of_timing
from .errors import DeviceRunError
from .explain import explain
from .finalists import judge_all
from .gates import Gates
from .judging import FloatView, predictor
from .measure.loops import loops_remark
from .open_verdict import MOST_FEEDS, leave_open
from .plan import Planned, reference_plan
from .progress import WithinStep
from .refinement import Workshop, refine_all
from .schemes import NEEDS_CALIBRATION
from .sparing import spare_all
from .state import work_folder
from .targets import ONNX_FORMATS
from .types import (
    JSON,
    Array,
    BaselineReport,
    CandidateReport,
    DeployReport,
    DeviceDifference,
    Feed,
    Feeds,
    Measurement,
    NodeId,
    RunFailure,
    Site,
    SustainReport,
    Winner,
)
from .values import to_json
from .verdict import Choice, is_full_precision

if TYPE_CHECKING:
    from pathlib import Path

    from .evaluation import Predict
    from .judge import Judge
    from .model import Model
    from .on_device.packing import OnDevice
    from .preparation import Run
    from .progress import Progress


@dataclass(frozen=True)
class Golden:
    """A synthetic input and what the winner says to it: a later self-test, with nobody's data in it."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]


NO_GOLDEN = Golden({}, {})


@dataclass(frozen=True)
class Outcome:
    """The verdict with what a bundle keeps of it."""

    report: DeployReport
    winner: Built | None
    measurements: dict[str, Measurement]
    golden: Golden
    on_device: OnDevice | None = None


def planned_report(run: Run, started: float) -> DeployReport:
    """What ``--dry-run`` shows: the candidates, and those refused with the reason. Nothing is built."""
    rows = [item.refused(str(item.reject) if item.reject else "would be tried") for item in run.planned]
    choice = Choice(tuple(rows), None, "dry run: nothing was built")
    return _report(run, choice, None, 0, (), None, started)


def worth_trying(item: Planned) -> bool:
    """Whether this is more than the float that everything is compared with, and not refused."""
    return item.reject is None and not is_full_precision(item.candidate)


def execute(run: Run, started: float, progress: Progress) -> Outcome:
    """Runs the whole search on ``run.device``.

    Raises:
        ModelError, DataError, DependencyError, DeviceUnavailableError, DeviceRunError: see ``edgekit.errors``.
    """
    request, progress = run.request, WithinStep(progress)
    budget = search.Budget(request.budget_s)
    with toolchain.policy(timeout_s=run.timeouts.toolchain_s, progress=progress):
        built, refused = search.build_all(
            run.model, run.planned, run.data, threads=request.threads, budget=budget, progress=progress,
            asked_for=request.has_chosen_precision,
        )  # fmt: skip
    reference = _reference(run, reference_plan(run.model, Site(run.profile, run.facts)), built)
    baseline = None
    if run.original is not None:
        baseline = build(run.original, reference_plan(run.original, Site(run.profile, run.facts)), None, threads=request.threads)
    runners = {item.planned.target.name: item.runner for item in [*built.values(), reference]}
    feed = search.timed_feed(next(iter(run.held_out)), run.model.inputs)
    results: Mapping[str, Measurement | RunFailure] = {}
    differences: Mapping[str, DeviceDifference] = {}
    differing: tuple[str, ...] = ()
    with work_folder() as scratch, sessions_of(run, runners, scratch, budget, progress) as session:
        setting = _setting(run, session, scratch, progress)
        view = search.look_at_float(setting, reference)
        compared = search.compare_all(setting, view, reference, built)
        workshop = Workshop(setting, view, run.model, run.data, request.threads, is_timed=not run.not_measured)
        refine_all(workshop, compared, budget)
        trail = spare_all(workshop, compared, budget)
        baseline_view = view_baseline(setting, baseline) if baseline else None
        if not run.not_measured:
            if session.is_remote:
                differences, differing = check_on_device(setting, view, compared)
            extra = {BASELINE_KEY: baseline} if baseline else {}
            results = search.measure_all(setting, compared.built, reference, feed, extra, budget)
            if run.meter.facts is None and request.sustain_s is None:
                session.leave_device(compared.built)
        must_be_faster = request.objective == "latency" and not request.has_chosen_precision
        judged, n_compared = judge_all(setting, view, reference, compared, results, budget, must_be_faster=must_be_faster)
        rows = search.with_measurements(judged, results, reference.id, _floats(built)) | refused
        needed = setting.gates.agreement_needed(labels=run.evaluation is not None)
        rows = {key: _explained(row, needed, workshop.damage) for key, row in rows.items()}
        rows = {key: replace(row, device_difference=differences.get(key)) for key, row in rows.items()}
        ordered = _in_order(run.planned, rows)
        metered = metering.Metered(run.meter, None, {})
        if request.objective == "energy":
            metered = _metered(run, setting, compared.built, metering.to_meter(ordered, None, request), feed)
        choice = search.decide(ordered, results, request, metered.joules)
        if request.objective != "energy":
            metered = _metered(run, setting, compared.built, metering.to_meter(choice.rows, choice.winner, request), feed)
        choice = replace(choice, rows=metering.with_energy(choice.rows, metered, request))
        sustained = _sustained(run, setting, {reference.id: reference, **compared.built}, choice, feed)
        handed_over = {key for key in compared.built if run.not_measured and rows[key].accepted} | {choice.winner or ""}
        choice = replace(choice, rows=tuple(attest(compared.built, handed_over, choice.rows)))
        winner = compared.built[choice.winner] if choice.winner else None
        golden, no_golden = _golden(run, predictor(session, winner.id, winner)) if winner else (NO_GOLDEN, ())
        on_device: OnDevice | None = None
        left_out: tuple[str, ...] = ()
        if winner and run.not_measured:
            feeds = _synthetic(run, MOST_FEEDS)
            on_device, left_out = leave_open(setting, view, reference, compared, rows, feeds, request)
        beside_baseline = None
        if baseline and baseline_view:
            beside_baseline = _baseline_report(run, (view, baseline_view), (reference, baseline), results, choice)
    ranges = _calibration_report(run, built)
    measurements = {key: value for key, value in results.items() if isinstance(value, Measurement)}
    shapes = {name: list(array.shape) for name, array in feed.items()} if measurements else None
    timed_here = session.is_remote and request.eval_on == "host"
    steps, where_timed = with_place_of_timing(trail.steps, run.device.name) if timed_here else (tuple(trail.steps), ())
    no_evidence = timing_remark(run.device.name, run.facts) if measurements else ()
    warnings = (
        *no_evidence,
        *loops_remark({key: found.loop for key, found in measurements.items()}),
        *differing,
        *_warnings(choice),
        *_when_hot(sustained),
        *metered.warnings,
        *where_timed,
        *no_golden,
        *left_out,
        *(ranges["warnings"] if ranges else ()),
    )
    report = _report(run, choice, beside_baseline, n_compared, warnings, shapes, started)
    calibration = {**report.calibration, "ranges": ranges} if report.calibration and ranges else report.calibration
    report = replace(report, trail=steps, calibration=calibration, sustain=sustained)
    return Outcome(report, winner, measurements, golden, on_device)


def _metered(
    run: Run, setting: search.Setting, built: Mapping[str, Built], rows: Sequence[CandidateReport], feed: Feed
) -> metering.Metered:
    """The energy of ``rows``, where there is a meter: in the session in which they were timed."""
    if run.meter.facts is None:
        return metering.Metered(run.meter, None, {})
    return metering.measure(setting.session.device, run.meter, built, rows, feed, setting.progress)


def _sustained(run: Run, setting: search.Setting, built: Mapping[str, Built], choice: Choice, feed: Feed) -> SustainReport | None:
    """The winner, float and whoever is near, in turn for minutes; None where that was not asked for or nothing was timed."""
    keys = [key for key in sustaining.finalists(choice.rows, choice.winner) if key in built]
    if run.request.sustain_s is None or not keys:
        return None
    judged = choice.winner if run.request.objective == "latency" else None
    return sustaining.sustain(
        setting.session.device, built, keys, feed, run.request.sustain_s, setting.progress, rows=choice.rows, winner=judged
    )


def _calibration_report(run: Run, built: Mapping[str, Built]) -> dict[str, JSON] | None:
    """Whether the calibration data are enough, and like what was held out; None where nothing was made of their ranges."""
    from .frontends import onnx_frontend
    from .quantize.check import check_calibration
    from .quantize.placement import calibrated_tensors

    if run.model.format not in ONNX_FORMATS:
        return None  # the engine that would look at the ranges works on ONNX
    if run.data is None or not any(isinstance(item.planned.candidate.scheme, NEEDS_CALIBRATION) for item in built.values()):
        return None
    return check_calibration(run.model, run.data, calibrated_tensors(onnx_frontend.read_raised(run.model).graph))


def _explained(row: CandidateReport, needed: float, damage: Mapping[str, Mapping[NodeId, float]]) -> CandidateReport:
    """A candidate that does not hold the gates says what broke and what it would have gained."""
    was_judged = row.stage in ("judged", "measured")
    disagrees = row.agreement is not None and row.agreement.value < needed
    if row.accepted or row.fidelity is None or not (was_judged or disagrees):
        return row
    return replace(row, explanation=explain(row, damage.get(row.id, {}), row.speedup_vs_reference))


def _in_order(planned: Sequence[Planned], rows: Mapping[str, CandidateReport]) -> list[CandidateReport]:
    """The plan's order; what was refined follows the rows of its target. A target that is not installed has one row."""
    targets = list(dict.fromkeys(item.target.name for item in planned))
    of_the_plan = [rows[item.id] for item in planned if item.id in rows]
    refined = [row for key, row in rows.items() if key not in {item.id for item in planned}]
    return sorted([*of_the_plan, *refined], key=lambda row: targets.index(row.target))


def _setting(run: Run, session: Judge, scratch: Path, progress: Progress) -> search.Setting:
    return search.Setting(
        session=session,
        gates=Gates(run.request.max_drop, run.request.min_agreement),
        held_out=run.held_out,
        synthetic=run.calibration is None,
        evaluation=run.evaluation,
        seen=run.calibration.hashes if run.calibration else frozenset(),
        scratch=scratch,
        progress=progress,
    )


def _reference(run: Run, planned: Planned, built: Mapping[str, Built]) -> Built:
    return built.get(planned.id) or build(run.model, planned, None, threads=run.request.threads)


def _floats(built: Mapping[str, Built]) -> dict[str, str]:
    """Each target's own full-precision candidate, by the target's name."""
    return {item.planned.target.name: key for key, item in built.items() if is_full_precision(item.planned.candidate)}


def _golden(run: Run, predict: Predict) -> tuple[Golden, tuple[str, ...]]:
    """The golden pair; or none, and the warning that says so: the finished run is worth more than its self-test."""
    feed: Feed = next(iter(_synthetic(run, 1)))
    try:
        return Golden(dict(feed), predict(feed)), ()
    except DeviceRunError as problem:
        return NO_GOLDEN, (f"the bundle has no golden pair: the winner fails on synthetic input ({problem.why or problem.what})",)


def _synthetic(run: Run, n: int) -> Feeds:
    """Golden inputs: of the shapes and within the ranges of the calibration data, and nobody's."""
    from .data import synthetic_feeds
    from .stateful import state_pairs

    seen = run.calibration
    ranges, shapes = (seen.ranges, seen.shapes) if seen else (None, None)
    states = state_pairs(run.model.inputs, run.model.outputs)
    return synthetic_feeds(run.model.inputs, n=n, ranges=ranges, shapes=shapes, states=states)


def _baseline_report(
    run: Run,
    views: tuple[FloatView, FloatView],
    floats: tuple[Built, Built],
    results: Mapping[str, Measurement | RunFailure],
    choice: Choice,
) -> BaselineReport:
    """``views`` and ``floats``: of the given model, and of the one it was compressed from."""
    from .inspect import inspect_model

    assert run.original is not None
    kinds = [finding.kind for finding in inspect_model(run.model).findings]
    winner = next((row for row in choice.rows if row.id == choice.winner), None)
    return compare_with_baseline(views, floats, results, kinds, winner, describe_model(run.original))


def describe_model(model: Model) -> dict[str, JSON]:
    """What a report says of a model: name, fingerprint, tensors; never where it lies."""
    return {
        "name": model.path.name,
        "format": model.format,
        "fingerprint": model.fingerprint,
        "opset": model.opset,
        "size_bytes": model.size_bytes,
        "quantized": model.quantized,
        "inputs": to_json(model.inputs),
        "outputs": to_json(model.outputs),
    }


def _when_hot(sustained: SustainReport | None) -> tuple[str, ...]:
    if sustained is None or not sustained.would_change:
        return ()
    return (f"after {sustained.elapsed_s:.0f} s of work the verdict would be another: {sustained.reason}",)


def _warnings(choice: Choice) -> tuple[str, ...]:
    warnings = [f"{row.id}: {row.fidelity.suspicious}" for row in choice.rows if row.fidelity and row.fidelity.suspicious]
    noisy = [row.id for row in choice.rows if row.trust and row.trust != "steady"]
    if noisy:
        warnings.append(f"the latency of {', '.join(noisy)} was not steady; see 'trust' in the JSON")
    return tuple(warnings)


def _report(
    run: Run,
    choice: Choice,
    baseline: BaselineReport | None,
    n_compared: int,
    warnings: tuple[str, ...],
    timed_input: dict[str, JSON] | None,
    started: float,
) -> DeployReport:
    measured = any(row.stage == "measured" for row in choice.rows)
    winner = None
    if choice.winner:
        # A stand-in target says of itself that its latencies are evidence of nothing.
        stand_in = any(getattr(item.target, "stand_in", False) for item in run.planned if item.id == choice.winner)
        stand_in = stand_in or (run.request.objective == "energy" and run.meter.is_stand_in)
        winner = Winner(choice.winner, provisional=not measured or run.facts.kind != "real" or stand_in)
    rows: tuple[CandidateReport, ...] = choice.rows
    if run.not_measured:
        rows = tuple(_with_latency_reason(row, run.not_measured) for row in rows)
    return DeployReport(
        model=describe_model(run.model),
        target=",".join(run.request.target),
        profile=run.profile.name,
        device=None if run.not_measured else {"name": run.device.name, "address": run.device.address, **to_json(run.facts)},
        winner=winner,
        reason=choice.reason,
        candidates=rows,
        calibration=run.calibration.manifest if run.calibration else None,
        evaluation=run.evaluation.manifest() if run.evaluation else None,
        baseline=baseline,
        request=to_json(run.request),
        tools=tool_versions(),
        n_compared=n_compared,
        timed_input=timed_input,
        bundle=None,
        wall_s=time.monotonic() - started,
        peak_rss_bytes=peak_rss_bytes(),
        warnings=(*run.warnings, *warnings),
    )


def _with_latency_reason(row: CandidateReport, reason: str) -> CandidateReport:
    return row if row.stage == "rejected" else replace(row, latency_reason=reason)


def peak_rss_bytes() -> int:
    """The largest resident set of this process so far; its worker processes report their own."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
