"""Measuring a model or a bundle as it is: no search, no gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import toolchain
from .budget import Budget
from .building import Built, runner_for, tool_versions
from .bundle import check_bundle
from .construction import build_all
from .contract import to_artifact
from .data import synthetic_feeds
from .device_check import timing_remark
from .devices import inventory
from .devices.energy import EnergyResult
from .devices.inventory import Device
from .devices.meters import FoundMeter
from .devices.plan import BenchPlan, Timeouts
from .devices.session import AgentSession
from .errors import DataError, DeviceRunError, ModelError, UsageError
from .feed_checks import check_names, checked_feed
from .fleet import FleetReport, run_on_all
from .judge import start_worker
from .measure.sci import Embodied
from .measure.statistics import summarize
from .measure.trust import summarize_conditions, trust
from .metering import Metered, described, measure_timed, meter_of
from .model import model_path
from .operator_times import OperatorTime, operator_times
from .paths import kind_of
from .plan import Planned
from .preparation import Sources, calibration_of, prepare
from .profiles import get_profile
from .progress import Progress, Silent, WithinStep
from .request import DeployRequest
from .request_parsing import parse_request, parse_shape, parse_targets
from .run_report import describe_model
from .search import timed_feed
from .site_choice import profile_of_run
from .sustaining import sustain as sustain_all
from .targets import get_target
from .types import JSON, ConditionSummary, DeviceFacts, Feed, Latency, Measurement, RunFailure, Site, SustainReport, TensorSpec
from .values import to_json

NO_LAYERS = "they were not asked for (--layers)"


@dataclass(frozen=True)
class ProfileRow:
    """What one artifact does on the device. Where it failed, ``failure`` says how and nothing else was measured."""

    id: str
    target: str
    size_bytes: int
    latency_s: Latency | None = None
    load_s: float | None = None
    first_inference_s: float | None = None
    peak_memory_bytes: int | None = None
    trust: str | None = None
    trust_reason: str = ""
    conditions: ConditionSummary | None = None
    layers: tuple[OperatorTime, ...] | None = None
    layers_reason: str = NO_LAYERS
    loop: str | None = None
    requested: dict[str, JSON] = field(default_factory=dict)
    effective: dict[str, JSON] = field(default_factory=dict)
    failure: str = ""
    energy_j: dict[str, JSON] | None = None
    energy_reason: str = "no energy meter is configured for this device"


@dataclass(frozen=True)
class ProfileReport:
    """The document that ``profile --json`` prints (``edgekit.profile/1``)."""

    model: dict[str, JSON]
    profile: str
    device: dict[str, JSON]
    threads: int
    input: str
    rows: tuple[ProfileRow, ...]
    tools: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sustain: SustainReport | None = None
    schema: str = "edgekit.profile/1"


def profile(
    model: str | Path,
    *,
    target: str | Sequence[str] = "auto",
    device: str | None = None,
    calib: Any = None,
    shape: Mapping[str, tuple[int, ...]] | None = None,
    threads: int = 1,
    energy: str = "winner",
    grid_intensity: float | str | None = None,
    embodied: Embodied | str | None = None,
    governor: str | None = None,
    power_mode: str | None = None,
    lock_clocks: bool = False,
    sustain: float | str | None = None,
    layers: bool = False,
    allow_code: bool = False,
    trust_model: bool = False,
    timeouts: Timeouts | None = None,
    progress: Progress | None = None,
) -> ProfileReport:
    """Measures ``model`` in full precision (or as it came, when it is quantized) on every target named, or a bundle's artifact.

    Args:
        model: a model's file, or a bundle's folder; a bundle is measured with the target that made it.
        target, device, calib, shape, threads: as for :func:`edgekit.deploy`. The first held-out calibration feed is the input
            that is timed; without one it is synthetic, and of a bundle ``shape`` sizes its free axes.
        energy: "off" for none; otherwise every artifact's energy is measured where the device has a meter.
        sustain: a duration such as "10m": all artifacts in turn for that long.
        layers: times by operator, where the runtime gives them.
        grid_intensity, embodied, governor, power_mode, lock_clocks, allow_code, trust_model: as for :func:`edgekit.deploy`.

    Returns:
        One row a target: latency in seconds (host memory to host memory), load time, first inference, peak memory.

    Raises:
        UsageError, ModelError, DataError, DeviceUnavailableError, IntegrityError: see ``edgekit.errors``.
        DeviceRunError: nothing ran.

    Example:
        >>> from edgekit.demo import demo_models
        >>> report = profile(demo_models()[1].model, target="onnx")
        >>> report.rows[0].id, report.rows[0].latency_s.n > 30
        ('onnx/float32', True)
    """
    options = {"energy": energy, "grid_intensity": grid_intensity, "embodied": embodied}
    options |= {"governor": governor, "power_mode": power_mode, "lock_clocks": lock_clocks, "sustain": sustain}
    request = replace(
        parse_request({"model": model_path(model), **options}),
        target=parse_targets(target),
        device=device,
        shape=parse_shape(shape or {}),
        threads=threads,
        precision="fp32",
        calib=str(calib) if isinstance(calib, (str, Path)) else None,
    )
    samples = None if isinstance(calib, (str, Path)) else calib
    sources = Sources(calib=samples, allow_code=allow_code, trust_model=trust_model)
    progress = progress or Silent()
    profiled = _profile_bundle if kind_of(Path(model), ModelError) == "folder" else _profile_model
    return profiled(request, sources, timeouts or Timeouts(), progress, layers=layers)


def profile_fleet(
    model: str | Path, *, device: str | None, progress: Progress | None = None, **options: Any
) -> FleetReport[ProfileReport]:
    """Measures on several devices at once: ``device="a,b"`` or ``"label:board=pi5"``. Arguments are those of :func:`profile`.

    Returns:
        A report or an error for each device; one that fails stops nobody.

    Raises:
        UsageError, UnknownNameError: a device that is not known.
    """

    def profile_on(one: Device, shown: Progress) -> ProfileReport:
        return profile(model, device=one.name, progress=shown, **options)

    return run_on_all(inventory.open_devices(device), profile_on, progress or Silent())


def _profile_model(
    request: DeployRequest, sources: Sources, timeouts: Timeouts, progress: Progress, *, layers: bool
) -> ProfileReport:
    run = prepare(request, sources, measure=True, timeouts=timeouts, progress=progress)
    if run.not_measured:
        raise UsageError("there is nothing to measure on", why=run.not_measured, hint="name a device with --device")
    with toolchain.policy(timeout_s=timeouts.toolchain_s, progress=progress):
        built, refused = build_all(
            run.model, run.planned, run.data, threads=request.threads, budget=Budget(None), progress=progress
        )
    if not built:
        raise DeviceRunError("nothing could be built to measure", why="; ".join(row.reason for row in refused.values()))
    where = "a held-out sample" if run.calibration else "synthetic"
    feed = timed_feed(next(iter(run.held_out)), run.model.inputs)
    found = _measure(run.device, run.meter, built, feed, request, timeouts, progress, layers=layers)
    return _report(describe_model(run.model), run.profile.name, run.device, run.facts, request, where, found)


def _profile_bundle(
    request: DeployRequest, sources: Sources, timeouts: Timeouts, progress: Progress, *, layers: bool
) -> ProfileReport:
    """The bundle's artifact, checked first; the code that runs it is the installed target's, never the bundle's."""
    folder = Path(request.model)
    bundle = check_bundle(folder).bundle
    if bundle.artifact is None or bundle.candidate is None:
        raise UsageError(
            f"{folder} holds no artifact", why="nothing was accepted when it was made", hint="profile the model instead"
        )
    device = inventory.open_device(request.device)
    with AgentSession(device.transport, {}, timeouts=timeouts, become=device.become) as session:
        facts = session.probe()
        meter = meter_of(session, device, request, "")
    site = Site(profile_of_run(get_profile(bundle.report.profile), device, facts), facts)
    planned = Planned(get_target(bundle.candidate.target), site, bundle.candidate)
    runner = runner_for(planned, bundle.artifact, threads=request.threads)
    built = Built(planned, bundle.artifact, folder / "artifact", runner, from_cache=False)
    inputs = [tensor.original for tensor in bundle.artifact.io if tensor.role == "input"]
    calibration = calibration_of(request, inputs, sources)
    sample = next(iter(calibration.build.held_out)) if calibration else _synthetic(inputs, request.shape)
    feed = timed_feed(sample, inputs)
    found = _measure(device, meter, {built.id: built}, feed, request, timeouts, progress, layers=layers)
    where = "a held-out sample" if calibration else "synthetic"
    return _report(bundle.report.model, site.profile.name, device, facts, request, where, found)


def _synthetic(inputs: Sequence[TensorSpec], shape: Mapping[str, tuple[int, ...]]) -> Feed:
    """A feed for a bundle's inputs, whose free axes ``shape`` gives a size.

    Raises:
        UsageError: it does not fit them.
    """
    try:
        check_names([*shape, *(spec.name for spec in inputs if spec.name not in shape)], inputs, "--shape")
        return checked_feed(next(iter(synthetic_feeds(inputs, n=1, shapes=shape))), inputs, "--shape")
    except DataError as problem:
        raise UsageError("--shape does not fit the bundle's inputs", why=problem.why, hint="leave --shape out") from problem


@dataclass(frozen=True)
class _Found:
    """What one session found of the artifacts, by key."""

    measured: Mapping[str, tuple[Built, Measurement | RunFailure]]
    metered: Metered
    layers: Mapping[str, tuple[tuple[OperatorTime, ...] | None, str]]
    sustained: SustainReport | None


def _measure(
    device: Device, meter: FoundMeter, built: Mapping[str, Built], feed: Feed, request: DeployRequest, timeouts: Timeouts,
    progress: Progress, *, layers: bool,
) -> _Found:  # fmt: skip
    """Opens every artifact, times them side by side, and then whatever else was asked for of those that ran."""
    runners = {item.planned.target.name: item.runner for item in built.values()}
    shown = WithinStep(progress)
    with (
        AgentSession(device.transport, runners, timeouts=timeouts, become=device.become) as session,
        session.lease(wait_s=timeouts.lease_s, on_wait=progress.note),
        session.power_mode(request.power_mode),
        session.locked_clocks(request.lock_clocks),
        session.governor(request.governor),
    ):
        shown.stage("measuring")
        sending = None if device.transport.shares_files else shown
        failures = {key: start_worker(session, key, item, sending) for key, item in built.items()}
        running = [key for key in built if failures[key] is None]
        feeds = {key: to_artifact(feed, built[key].artifact.io) for key in running}
        results = session.bench(running, feeds, BenchPlan(), shown.advance) if running else {}
        timed = {key: summarize(found.rounds).p50 for key, found in results.items() if isinstance(found, Measurement)}
        metered = measure_timed(session, meter, {key: built[key] for key in timed}, timed, feed, shown)
        by_operator = {}
        if layers:
            shown.stage("timing operators")
            by_operator = {key: operator_times(session, built[key], feed) for key in timed}
        sustained = None
        if request.sustain_s is not None and timed:
            sustained = sustain_all(session, built, list(timed), feed, request.sustain_s, shown)
    measured = {key: (item, failures[key] or results[key]) for key, item in built.items()}
    return _Found(measured, metered, by_operator, sustained)


def _row(item: Built, result: Measurement | RunFailure, found: _Found, request: DeployRequest) -> ProfileRow:
    if isinstance(result, RunFailure):
        return ProfileRow(
            id=item.id, target=item.planned.target.name, size_bytes=item.size_bytes, failure=f"{result.kind}: {result.message}"
        )
    trusted, metered = trust(result), found.metered
    by_operator, no_layers = found.layers.get(item.id, (None, NO_LAYERS))
    joules, energy_reason = described(metered.results.get(item.id) or EnergyResult(None, metered.meter.reason), metered, request)
    return ProfileRow(
        id=item.id,
        target=item.planned.target.name,
        size_bytes=item.size_bytes,
        latency_s=summarize(result.rounds),
        load_s=result.load_s,
        first_inference_s=result.first_inference_s,
        peak_memory_bytes=result.peak_memory_bytes,
        trust=trusted.verdict,
        trust_reason=trusted.reason,
        conditions=summarize_conditions(result.conditions),
        layers=by_operator,
        layers_reason=no_layers,
        loop=result.loop,
        requested=result.requested,
        effective=result.effective,
        energy_j=joules,
        energy_reason=energy_reason,
    )


def _report(
    model: dict[str, JSON],
    profile_name: str,
    device: Device,
    facts: DeviceFacts,
    request: DeployRequest,
    where: str,
    found: _Found,
) -> ProfileReport:
    rows = tuple(_row(item, result, found, request) for item, result in found.measured.values())
    if all(row.failure for row in rows):
        raise DeviceRunError("nothing could be measured", why="; ".join(f"{row.id}: {row.failure}" for row in rows))
    told = {"name": device.name, "address": device.address, **to_json(facts)}
    remarks = (*timing_remark(device.name, facts), *found.metered.warnings)
    return ProfileReport(model, profile_name, told, request.threads, where, rows, tool_versions(), remarks, found.sustained)
