"""Energy in a run: who is measured, and what its row says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .contract import to_artifact
from .devices.energy import EnergyResult, measure_energy, plan_energy
from .devices.meters import FoundMeter, find_meter, parse_meter
from .errors import DeviceRunError, UsageError
from .measure.sci import sci
from .types import JSON, CandidateReport, Feed
from .values import to_json
from .verdict import is_full_precision

if TYPE_CHECKING:
    from .building import Built
    from .devices.inventory import Device
    from .devices.plan import EnergyPlan
    from .devices.session import AgentSession
    from .progress import Progress
    from .request import DeployRequest

STAND_IN = "the energy meter is a stand-in (EDGEKIT_METER_ROOT): its numbers are evidence of nothing"


@dataclass(frozen=True)
class Metered:
    """What was measured in one go; ``plan`` is None when nothing was."""

    meter: FoundMeter
    plan: EnergyPlan | None
    results: Mapping[str, EnergyResult]

    @property
    def joules(self) -> dict[str, tuple[float, ...]]:
        """Gross joules an inference by candidate, one value a repeat."""
        return {key: result.estimate.gross_of_repeats for key, result in self.results.items() if result.estimate is not None}

    @property
    def warnings(self) -> tuple[str, ...]:
        return (STAND_IN,) if self.meter.is_stand_in and self.results else ()


def meter_of(session: AgentSession, device: Device, request: DeployRequest, not_measured: str) -> FoundMeter:
    """The meter of a run, or why there is none.

    Args:
        not_measured: why nothing is measured on a device at all; empty when it is.

    Raises:
        UsageError: energy is the objective, and there is no meter; or the device's ``meter`` setting cannot be read.
    """
    if not_measured:
        found = FoundMeter(None, not_measured)
    elif request.energy == "off":
        found = FoundMeter(None, "it was not asked for (--energy off)")
    else:
        found = find_meter(session, parse_meter(device.meter))
    if request.objective == "energy" and found.facts is None:
        raise UsageError("energy cannot be the objective here", why=found.reason, hint="use --objective latency or size")
    return found


def measure(
    session: AgentSession, meter: FoundMeter, built: Mapping[str, Built], rows: Sequence[CandidateReport], feed: Feed,
    progress: Progress,
) -> Metered:  # fmt: skip
    """Measures the candidates of ``rows``, which have been timed in this session. How long it takes is said first."""
    latencies = {row.id: row.latency_s.p50 for row in rows if row.latency_s is not None and row.id in built}
    return measure_timed(session, meter, {key: built[key] for key in latencies}, latencies, feed, progress)


def measure_timed(
    session: AgentSession, meter: FoundMeter, built: Mapping[str, Built], latencies_s: Mapping[str, float], feed: Feed,
    progress: Progress,
) -> Metered:  # fmt: skip
    """As :func:`measure`, of artifacts that have no row of a verdict."""
    if meter.facts is None or not built:
        return Metered(meter, None, {})
    plan = plan_energy(meter.facts, list(latencies_s.values()))
    progress.stage("measuring energy")
    progress.note(
        f"energy of {', '.join(built)} with {meter.facts.name} ({meter.facts.scope}): takes about "
        f"{_minutes(plan.takes_s(len(built)))}, {plan.repeats} windows of {plan.window_s:g} s each, and idle ones between them"
    )
    feeds = {key: to_artifact(feed, item.artifact.io) for key, item in built.items()}
    try:
        return Metered(meter, plan, measure_energy(session, list(built), feeds, meter, plan, progress.advance))
    except DeviceRunError as problem:  # a meter that failed is a reason in every row; what was timed is worth keeping
        return Metered(meter, plan, dict.fromkeys(built, EnergyResult(None, f"{problem.what}: {problem.why}")))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def to_meter(rows: Sequence[CandidateReport], winner: str | None, request: DeployRequest) -> list[CandidateReport]:
    """Whose energy is measured: every timed candidate's, those between which it decides, or float's and the winner's."""
    timed = [row for row in rows if row.latency_s is not None]
    if request.energy == "all":
        return timed
    if request.objective == "energy":
        return [row for row in timed if row.accepted]
    target = next((row.target for row in rows if row.id == winner), None)
    return [row for row in timed if row.id == winner or (row.target == target and is_full_precision(row.candidate))]


def with_energy(rows: Sequence[CandidateReport], metered: Metered, request: DeployRequest) -> tuple[CandidateReport, ...]:
    """The rows with their joules, or with the reason why they have none."""
    finished = []
    for row in rows:
        result = metered.results.get(row.id)
        if result is not None:
            joules, reason = described(result, metered, request)
        elif metered.meter.facts is None or row.latency_s is None:
            joules, reason = None, metered.meter.reason or row.latency_reason or "it was not timed"
        elif not metered.results:
            joules, reason = None, "nothing was accepted, so nothing was measured"
        else:
            others = "those that can win" if request.objective == "energy" else "float and the winner"
            joules, reason = None, f"only {others} were measured; --energy all measures every candidate"
        finished.append(replace(row, energy_j=joules, energy_reason=reason))
    return tuple(finished)


def described(result: EnergyResult, metered: Metered, request: DeployRequest) -> tuple[dict[str, JSON] | None, str]:
    """``energy_j`` and ``energy_reason`` of one candidate, as the documents have them."""
    energy, facts, plan = result.estimate, metered.meter.facts, metered.plan
    if energy is None or facts is None or plan is None:
        return None, result.reason
    intensity = None
    if request.grid_intensity is not None:
        intensity = sci(energy.gross_j, energy.inference_s, request.grid_intensity, request.embodied)
    return {
        "gross_j": energy.gross_j,
        "gross_ci95": list(energy.gross_ci95),
        "net_j": energy.net_j,
        "ci95": list(energy.ci95) if energy.ci95 is not None else None,
        "net_reason": energy.net_reason,
        "load_w": energy.load_w,
        "idle_w": energy.idle_w,
        "inference_s": energy.inference_s,
        "scope": facts.scope,
        "rails": {name: to_json(rail) for name, rail in energy.rails.items()},
        "meter": {"name": facts.name, "kind": facts.kind, "period_s": facts.period_s, "source": facts.source},
        "windows": {
            "repeats": plan.repeats,
            "window_s": plan.window_s,
            "settle_s": plan.settle_s,
            "n": energy.n,
            "gross_j": list(energy.gross_of_repeats),
        },
        "sci": intensity,
    }, ""
