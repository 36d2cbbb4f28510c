"""From a request to everything that is known before the first slow step: model, site, data, plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DeviceRunError, UnknownNameError, UsageError
from .types import BuildData, DeviceFacts, Feed, Feeds, Profile, Site, TensorSpec

if TYPE_CHECKING:
    from .data import CalibrationSet
    from .devices.inventory import Device
    from .devices.meters import FoundMeter
    from .devices.plan import Timeouts
    from .evaluation import Evaluation
    from .model import Model
    from .plan import Planned
    from .progress import Progress
    from .request import DeployRequest
    from .targets import Target

SYNTHETIC_FEEDS = 16


@dataclass(frozen=True)
class Sources:
    """Data given from Python instead of by path; whether ``file.py:function`` references may run, and a ``.pt2`` as code."""

    calib: Callable[[], Iterable[Feed]] | Iterable[Feed] | None = None
    evaluation: Callable[..., Any] | None = None
    allow_code: bool = False
    trust_model: bool = False


@dataclass(frozen=True)
class Run:
    """Everything known before the first slow step. ``not_measured`` says why nothing is measured; empty when it is.

    ``meter``: of the device, or why its energy is not measured.
    """

    request: DeployRequest
    model: Model
    original: Model | None
    device: Device
    facts: DeviceFacts
    sites: tuple[tuple[Target, Site], ...]
    not_measured: str
    meter: FoundMeter
    calibration: CalibrationSet | None
    evaluation: Evaluation | None
    planned: tuple[Planned, ...]
    timeouts: Timeouts
    warnings: tuple[str, ...]

    @property
    def profile(self) -> Profile:
        return self.sites[0][1].profile

    @property
    def data(self) -> BuildData | None:
        return self.calibration.build if self.calibration else None

    @property
    def held_out(self) -> Feeds:
        """What candidates are compared with float on: held-out samples, or synthetic ones when none were given."""
        from .data import synthetic_feeds
        from .stateful import state_pairs

        if self.calibration:
            return self.calibration.build.held_out
        states = state_pairs(self.model.inputs, self.model.outputs)
        return synthetic_feeds(self.model.inputs, n=SYNTHETIC_FEEDS, states=states)


def prepare(request: DeployRequest, sources: Sources, *, measure: bool, timeouts: Timeouts, progress: Progress) -> Run:
    """Reads and checks everything the request names.

    Raises:
        UsageError, ModelError, DataError, DependencyError, DeviceUnavailableError: see ``edgekit.errors``.
    """
    from .baseline import check_same_contract
    from .devices.inventory import open_device
    from .devices.session import AgentSession
    from .metering import meter_of
    from .model import load_model
    from .plan import plan
    from .site_choice import check_names, sites_of
    from .stateful import notes_on_inputs

    progress.stage("reading the model and the data")
    check_names(request.target)
    load = partial(load_model, shape=request.shape or None, trust_model=sources.trust_model)
    model = load(request.model)
    original = load(request.baseline) if request.baseline else None
    if original is not None:
        check_same_contract(model, original)
    calibration, evaluation = _open_data(request, model, sources)
    device = open_device(request.device)
    with AgentSession(device.transport, {}, timeouts=timeouts, become=device.become) as session:
        for line in session.repaired:
            progress.note(f"{device.name}: {line}")
        facts = session.probe()
        sites, not_measured, left_out = sites_of(request, model, device, facts)
        if not measure:
            not_measured = "build only: a measurement was not asked for"
        meter = meter_of(session, device, request, not_measured)
    if not_measured and request.max_latency is not None:
        raise UsageError("--max-latency needs a device", why=not_measured, hint="leave it out, or name a device with --device")
    _check_governor(request, facts, not_measured)
    planned = plan(
        model, sites, precision=request.precision, calibrated=calibration is not None, build_options=request.build_options()
    )
    notes = notes_on_inputs(model, calibrated=calibration is not None, evaluated=evaluation is not None)
    warnings = () if calibration else ("no --calib: fidelity is on synthetic input, which says little about real data",)
    return Run(
        request=request,
        model=model,
        original=original,
        device=device,
        facts=facts,
        sites=tuple(sites),
        not_measured=not_measured,
        meter=meter,
        calibration=calibration,
        evaluation=evaluation,
        planned=tuple(planned),
        timeouts=timeouts,
        warnings=(*model.notes, *left_out, *warnings, *notes),
    )


def _check_governor(request: DeployRequest, facts: DeviceFacts, not_measured: str) -> None:
    """What can be known before anything slow; whether it may be set shows when it is."""
    asked = {"--governor": request.governor, "--power-mode": request.power_mode, "--sustain": request.sustain_s}
    for option, value in {**asked, "--lock-clocks": request.lock_clocks or None}.items():
        if not_measured and value is not None:
            raise UsageError(f"{option} needs a device", why=not_measured, hint="leave it out, or name a device with --device")
    known = [policy.available for policy in facts.policies if policy.available]
    if request.governor is not None and known and any(request.governor not in names for names in known):
        raise UnknownNameError("governor", request.governor, sorted(set.intersection(*map(set, known))))
    _check_power_mode(request, facts)
    _check_clocks(request, facts)


def _check_power_mode(request: DeployRequest, facts: DeviceFacts) -> None:
    name, modes = request.power_mode, facts.jetson.power_modes if facts.jetson is not None else ()
    if name is None:
        return
    if not modes:
        raise UsageError("--power-mode is for Jetson boards", why="nvpmodel lists no modes on this device", hint="leave it out")
    if not name.isdigit() and name.lower() not in map(str.lower, modes):
        raise UnknownNameError("power mode", name, modes)


def _check_clocks(request: DeployRequest, facts: DeviceFacts) -> None:
    if not request.lock_clocks:
        return
    if facts.jetson is None:
        raise UsageError("--lock-clocks is for Jetson boards", why="this device is none", hint="leave it out")
    if "clocks" in facts.jetson.reasons:  # what may not even be read is not going to be locked
        hint = "give it the rights (docs/tensorrt.md), or leave --lock-clocks out"
        raise DeviceRunError("the clocks of this device cannot be locked", why=facts.jetson.reasons["clocks"], hint=hint)


def calibration_of(request: DeployRequest, inputs: Sequence[TensorSpec], sources: Sources) -> CalibrationSet | None:
    """The calibration data that the request or the caller names; None when neither does."""
    from .data import open_calibration

    samples = sources.calib if sources.calib is not None else _source(request.calib, "--calib", sources)
    return open_calibration(samples, inputs, samples=request.samples) if samples is not None else None


def _open_data(request: DeployRequest, model: Model, sources: Sources) -> tuple[CalibrationSet | None, Evaluation | None]:
    from .evaluation import open_evaluation, refuse_overlap

    calibration = calibration_of(request, model.inputs, sources)
    labelled = sources.evaluation if sources.evaluation is not None else _source(request.eval, "--eval", sources)
    evaluation = None
    if labelled is not None:
        evaluation = open_evaluation(labelled, model.inputs, model.outputs, metric=request.metric)
    if calibration is not None and evaluation is not None:
        refuse_overlap(evaluation, calibration.hashes)
    return calibration, evaluation


def _source(text: str | None, option: str, sources: Sources) -> Any:
    from .coderef import load_function
    from .request import is_code_reference

    if text is None:
        return None
    if not is_code_reference(text):
        return Path(text)
    if not sources.allow_code:
        raise UsageError(
            f"{option} {text} is code, and it was not typed on the command line",
            why="code references in a bundle or a configuration file are shown, not run",
            hint="read it, then give it on the command line or add --allow-code",
        )
    return load_function(text)
