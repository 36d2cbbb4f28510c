"""One run, from the plan to the verdict: build, compare, evaluate, measure, decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from . import metering, search, sustaining, toolchain
from .attesting import attest
from .baseline import BASELINE_KEY, compare_with_baseline, view_baseline
from .blindness import blindness_remark
from .budget import Budget
from .building import Built, build
from .connections import sessions_of
from .construction import build_all
from .device_check import check_on_device, timing_remark, with_place_of_timing
from .finalists import judge_all
from .gates import Gates
from .golden_pair import NO_GOLDEN, Golden, golden_pair, synthetic_inputs
from .judging import FloatView, predictor
from .measure.loops import loops_remark
from .open_verdict import MOST_FEEDS, leave_open
from .plan import Planned, reference_plan
from .progress import WithinStep
from .refinement import Workshop, refine_all
from .run_report import choice_warnings, describe_model, explained, hot_warnings, in_order, report_of
from .schemes import NEEDS_CALIBRATION
from .sparing import spare_all
from .state import work_folder
from .targets import ONNX_FORMATS
from .types import (
    JSON,
    BaselineReport,
    CandidateReport,
    DeployReport,
    DeviceDifference,
    Feed,
    Measurement,
    NodeId,
    RunFailure,
    Site,
    SustainReport,
)
from .verdict import Choice, is_full_precision

if TYPE_CHECKING:
    from pathlib import Path

    from .judge import Judge
    from .on_device.packing import OnDevice
    from .preparation import Run
    from .progress import Progress


@dataclass(frozen=True)
class Outcome:
    """The verdict with what a bundle keeps of it."""

    report: DeployReport
    winner: Built | None
    measurements: dict[str, Measurement]
    golden: Golden
    on_device: OnDevice | None = None


@dataclass(frozen=True)
class _Tried:
    """What runs, and how close to float it came.

    ``trail``: the steps of the search for operators that stay in float. ``damage``: by candidate, what quantizing each operator
    does to its outputs.
    """

    reference: Built
    view: FloatView
    compared: search.Compared
    trail: tuple[dict[str, JSON], ...]
    damage: Mapping[str, Mapping[NodeId, float]]


@dataclass(frozen=True)
class _Timed:
    """What was measured; empty when nothing was. ``differences``: between this machine's outputs and a remote device's."""

    results: Mapping[str, Measurement | RunFailure] = field(default_factory=dict)
    differences: Mapping[str, DeviceDifference] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def worth_trying(item: Planned) -> bool:
    """Whether this is more than the float that everything is compared with, and not refused."""
    return item.reject is None and not is_full_precision(item.candidate)


def execute(run: Run, started: float, progress: Progress) -> Outcome:
    """Runs the whole search on ``run.device``.

    Raises:
        ModelError, DataError, DependencyError, DeviceUnavailableError, DeviceRunError: see ``edgekit.errors``.
    """
    request, progress = run.request, WithinStep(progress)
    budget = Budget(request.budget_s)
    with toolchain.policy(timeout_s=run.timeouts.toolchain_s, progress=progress):
        built, refused = build_all(
            run.model, run.planned, run.data, threads=request.threads, budget=budget, progress=progress,
            asked_for=request.has_chosen_precision,
        )  # fmt: skip
    reference = _reference(run, built)
    baseline = _original(run)
    runners = {item.planned.target.name: item.runner for item in [*built.values(), reference]}
    feed = search.timed_feed(next(iter(run.held_out)), run.model.inputs)
    on_device: OnDevice | None = None
    left_out: tuple[str, ...] = ()
    with work_folder() as scratch, sessions_of(run, runners, scratch, budget, progress) as session:
        setting = _setting(run, session, scratch, progress)
        tried = _try_all(run, setting, reference, built, budget)
        blind = blindness_remark(tried.view)  # float's outputs go with the scratch folder
        candidates = tried.compared.built
        baseline_view = view_baseline(setting, baseline) if baseline else None
        timed = _time_all(run, setting, tried, {BASELINE_KEY: baseline} if baseline else {}, feed, budget)
        judged, n_compared = _judge_all(run, setting, tried, timed, _floats(built), budget)
        rows = judged | refused
        choice, metered = _choose(run, setting, candidates, in_order(run.planned, rows), timed, feed)
        sustained = _sustained(run, setting, {reference.id: reference, **candidates}, choice, feed)
        handed_over = {key for key in candidates if run.not_measured and rows[key].accepted} | {choice.winner or ""}
        choice = replace(choice, rows=tuple(attest(candidates, handed_over, choice.rows)))
        winner = candidates[choice.winner] if choice.winner else None
        golden, no_golden = golden_pair(run, predictor(session, winner.id, winner)) if winner else (NO_GOLDEN, ())
        if winner and run.not_measured:
            feeds = synthetic_inputs(run, MOST_FEEDS)
            on_device, left_out = leave_open(setting, tried.view, reference, tried.compared, rows, feeds, request)
        beside_baseline = None
        if baseline and baseline_view:
            beside_baseline = _baseline_report(run, (tried.view, baseline_view), (reference, baseline), timed.results, choice)
    ranges = _calibration_report(run, built)
    measurements = {key: value for key, value in timed.results.items() if isinstance(value, Measurement)}
    timed_here = session.is_remote and request.eval_on == "host"
    steps, where_timed = with_place_of_timing(tried.trail, run.device.name) if timed_here else (tried.trail, ())
    report = report_of(
        run,
        choice,
        started,
        baseline=beside_baseline,
        n_compared=n_compared,
        timed_input={name: list(array.shape) for name, array in feed.items()} if measurements else None,
        ranges=ranges,
        trail=steps,
        sustain=sustained,
        warnings=(
            *(timing_remark(run.device.name, run.facts) if measurements else ()),
            *loops_remark({key: found.loop for key, found in measurements.items()}),
            *timed.warnings,
            *blind,
            *choice_warnings(choice),
            *hot_warnings(sustained),
            *metered.warnings,
            *where_timed,
            *no_golden,
            *left_out,
            *(ranges["warnings"] if ranges else ()),
        ),
    )
    return Outcome(report, winner, measurements, golden, on_device)


# ---------------------------------------------------------------- before the sessions
def _reference(run: Run, built: Mapping[str, Built]) -> Built:
    """The given model in full precision, that everything is compared with."""
    planned = reference_plan(run.model, Site(run.profile, run.facts))
    return built.get(planned.id) or build(run.model, planned, None, threads=run.request.threads)


def _original(run: Run) -> Built | None:
    """The model that the given one was compressed from, where ``--baseline`` named it."""
    if run.original is None:
        return None
    planned = reference_plan(run.original, Site(run.profile, run.facts))
    return build(run.original, planned, None, threads=run.request.threads)


def _floats(built: Mapping[str, Built]) -> dict[str, str]:
    """Each target's own full-precision candidate, by the target's name."""
    return {item.planned.target.name: key for key, item in built.items() if is_full_precision(item.planned.candidate)}


# ---------------------------------------------------------------- steps in the sessions
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


def _try_all(run: Run, setting: search.Setting, reference: Built, built: Mapping[str, Built], budget: Budget) -> _Tried:
    """Every built candidate beside float, refined, and with operators left in float where that is worth it."""
    view = search.look_at_float(setting, reference)
    compared = search.compare_all(setting, view, reference, built)
    workshop = Workshop(setting, view, run.model, run.data, run.request.threads, is_timed=not run.not_measured)
    refine_all(workshop, compared, budget)
    trail = spare_all(workshop, compared, budget)
    return _Tried(reference, view, compared, tuple(trail.steps), workshop.damage)


def _time_all(
    run: Run, setting: search.Setting, tried: _Tried, extra: Mapping[str, Built], feed: Feed, budget: Budget
) -> _Timed:  # fmt: skip
    """Measures all that ran, and ``extra``; on a remote device only what says the same there, which is then let go if it can be."""
    if run.not_measured:
        return _Timed()
    session, compared = setting.session, tried.compared
    differences, warnings = check_on_device(setting, tried.view, compared) if session.is_remote else ({}, ())
    results = search.measure_all(setting, compared.built, tried.reference, feed, extra, budget)
    if run.meter.facts is None and run.request.sustain_s is None:
        session.leave_device(compared.built)
    return _Timed(results, differences, warnings)


def _judge_all(
    run: Run, setting: search.Setting, tried: _Tried, timed: _Timed, floats: Mapping[str, str], budget: Budget
) -> tuple[dict[str, CandidateReport], int]:
    """A row of everything that was compared, with what was measured of it; and how many were scored on evaluation data."""
    request = run.request
    must_be_faster = request.objective == "latency" and not request.has_chosen_precision
    judged, n_compared = judge_all(
        setting, tried.view, tried.reference, tried.compared, timed.results, budget, must_be_faster=must_be_faster
    )
    rows = search.with_measurements(judged, timed.results, tried.reference.id, floats)
    needed = setting.gates.agreement_needed(labels=run.evaluation is not None)
    return {
        key: replace(explained(row, needed, tried.damage.get(key, {})), device_difference=timed.differences.get(key))
        for key, row in rows.items()
    }, n_compared


def _choose(
    run: Run, setting: search.Setting, built: Mapping[str, Built], rows: Sequence[CandidateReport], timed: _Timed, feed: Feed
) -> tuple[Choice, metering.Metered]:
    """The verdict, and the energy of whom it concerns: measured before it where energy decides, else after it."""
    request = run.request
    metered = metering.Metered(run.meter, None, {})
    if request.objective == "energy":
        metered = _metered(run, setting, built, metering.to_meter(rows, None, request), feed)
    choice = search.decide(rows, timed.results, request, metered.joules)
    if request.objective != "energy":
        metered = _metered(run, setting, built, metering.to_meter(choice.rows, choice.winner, request), feed)
    return replace(choice, rows=metering.with_energy(choice.rows, metered, request)), metered


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
        setting.session.device, built, keys, feed, run.request.sustain_s, setting.progress,
        rows=choice.rows, winner=judged, explicit_precision=run.request.has_chosen_precision,
    )  # fmt: skip


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
