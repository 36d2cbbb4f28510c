"""Measuring a model or a bundle as it is: no search, no gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import toolchain
from .building import Built, runner_for, tool_versions
from .bundle import check_bundle
from .contract import to_artifact
from .data import synthetic_feeds
from .deployment import describe_model
from .devices.energy import EnergyResult
from .devices.inventory import Device, open_device
from .devices.meters import FoundMeter
from .devices.plan import BenchPlan, Timeouts
from .devices.session import AgentSession
from .errors import DeviceRunError, UsageError
from .judging import open_worker
from .measure.sci import Embodied
from .measure.statistics import summarize
from .measure.trust import trust
from .metering import Metered, described, measure_timed, meter_of
from .model import model_path
from .plan import Planned
from .preparation import Sources, calibration_of, prepare
from .profiles import get_profile
from .progress import Progress, Silent
from .request import DeployRequest, parse_request, parse_shape, parse_targets
from .search import Budget, build_all, timed_feed
from .site_choice import profile_of_run
from .targets import get_target
from .types import JSON, DeviceFacts, Feed, Latency, Measurement, RunFailure, Site
from .values import to_json


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
    allow_code: bool = False,
    trust_model: bool = False,
    timeouts: Timeouts | None = None,
    progress: Progress | None = None,
) -> ProfileReport:
    """Measures ``model`` in full precision (or as it came, when it is quantized) on every target named, or a bundle's artifact.

    Args:
        model: a model's file, or a bundle's folder; a bundle is measured with the target that made it.
        target, device, calib, shape, threads: as for :func:`edgekit.deploy`. The first held-out calibration feed is the input
            that is timed; without one it is synthetic.
        energy: "off" for none; otherwise every artifact's energy is measured where the device has a meter.
        grid_intensity, embodied, allow_code, trust_model: as for :func:`edgekit.deploy`.

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
    profiled = _profile_bundle if Path(model).is_dir() else _profile_model
    return profiled(request, sources, timeouts or Timeouts(), progress)


def _profile_model(request: DeployRequest, sources: Sources, timeouts: Timeouts, progress: Progress) -> ProfileReport:
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
    measured, metered = _measure(run.device, run.meter, built, feed, timeouts, progress)
    return _report(describe_model(run.model), run.profile.name, run.device, run.facts, request, where, measured, metered)


def _profile_bundle(request: DeployRequest, sources: Sources, timeouts: Timeouts, progress: Progress) -> ProfileReport:
    """The bundle's artifact, checked first; the code that runs it is the installed target's, never the bundle's."""
    folder = Path(request.model)
    bundle = check_bundle(folder).bundle
    if bundle.artifact is None or bundle.candidate is None:
        raise UsageError(
            f"{folder} holds no artifact", why="nothing was accepted when it was made", hint="profile the model instead"
        )
    device = open_device(request.device)
    with AgentSession(device.transport, {}, timeouts=timeouts) as session:
        facts = session.probe()
        meter = meter_of(session, device, request, "")
    site = Site(profile_of_run(get_profile(bundle.report.profile), device, facts), facts)
    planned = Planned(get_target(bundle.candidate.target), site, bundle.candidate)
    runner = runner_for(planned, bundle.artifact, threads=request.threads)
    built = Built(planned, bundle.artifact, folder / "artifact", runner, from_cache=False)
    inputs = [tensor.original for tensor in bundle.artifact.io if tensor.role == "input"]
    calibration = calibration_of(request, inputs, sources)
    feeds = calibration.build.held_out if calibration else synthetic_feeds(inputs, n=1)
    feed = timed_feed(next(iter(feeds)), inputs)
    measured, metered = _measure(device, meter, {built.id: built}, feed, timeouts, progress)
    where = "a held-out sample" if calibration else "synthetic"
    return _report(bundle.report.model, site.profile.name, device, facts, request, where, measured, metered)


def _measure(
    device: Device, meter: FoundMeter, built: Mapping[str, Built], feed: Feed, timeouts: Timeouts, progress: Progress
) -> tuple[dict[str, tuple[Built, Measurement | RunFailure]], Metered]:
    """Opens every artifact, times them side by side, and measures the energy of those that ran."""
    runners = {item.planned.target.name: item.runner for item in built.values()}
    with (
        AgentSession(device.transport, runners, timeouts=timeouts) as session,
        session.lease(wait_s=timeouts.lease_s, on_wait=progress.note),
    ):
        progress.stage("measuring")
        failures = {key: open_worker(session, key, item) for key, item in built.items()}
        running = [key for key in built if failures[key] is None]
        feeds = {key: to_artifact(feed, built[key].artifact.io) for key in running}
        results = session.bench(running, feeds, BenchPlan(), progress.advance) if running else {}
        timed = {key: summarize(found.rounds).p50 for key, found in results.items() if isinstance(found, Measurement)}
        metered = measure_timed(session, meter, {key: built[key] for key in timed}, timed, feed, progress)
    return {key: (item, failures[key] or results[key]) for key, item in built.items()}, metered


def _row(item: Built, result: Measurement | RunFailure, metered: Metered, request: DeployRequest) -> ProfileRow:
    if isinstance(result, RunFailure):
        return ProfileRow(
            id=item.id, target=item.planned.target.name, size_bytes=item.size_bytes, failure=f"{result.kind}: {result.message}"
        )
    trusted = trust(result)
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
    measured: Mapping[str, tuple[Built, Measurement | RunFailure]],
    metered: Metered,
) -> ProfileReport:
    rows = tuple(_row(item, result, metered, request) for item, result in measured.values())
    if all(row.failure for row in rows):
        raise DeviceRunError("nothing could be measured", why="; ".join(f"{row.id}: {row.failure}" for row in rows))
    told = {"name": device.name, "address": device.address, **to_json(facts)}
    return ProfileReport(model, profile_name, told, request.threads, where, rows, tool_versions())
