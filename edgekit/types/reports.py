"""The verdict: a row for each candidate, and the document that they are part of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .artifacts import Candidate
from .measurements import ConditionSummary, Latency, Ratio
from .quality import Agreement, DeviceDifference, Fidelity
from .tensors import JSON

Stage = Literal["rejected", "built", "judged", "measured"]


@dataclass(frozen=True)
class CandidateReport:
    """One row of the verdict. ``accepted``: it holds every gate; ``reason``: why it is refused, or right but not taken.

    ``quality_measured_on``: "simulation" is this machine in the place of a device that is not at hand, by the rules of its formats.
    ``explanation``: of a refused one, what broke (the operators with most of the error, slices) and what it would have gained.
    ``device_difference``: None where the host and the device are one machine, or the host cannot run it.
    """

    id: str
    target: str
    scheme: str
    stage: Stage
    accepted: bool
    reason: str
    candidate: Candidate
    fidelity: Fidelity | None = None
    agreement: Agreement | None = None
    quality_measured_on: Literal["host", "device", "simulation"] | None = None
    device_difference: DeviceDifference | None = None
    latency_s: Latency | None = None
    latency_reason: str = ""
    speedup_vs_reference: Ratio | None = None
    speedup_vs_own_float: Ratio | None = None
    trust: str | None = None
    trust_reason: str = ""
    conditions: ConditionSummary | None = None
    loop: str | None = None
    energy_j: dict[str, JSON] | None = None
    energy_reason: str = "no energy meter is configured for this device"
    size_bytes: int | None = None
    peak_memory_bytes: int | None = None
    load_s: float | None = None
    provenance: dict[str, JSON] = field(default_factory=dict)
    explanation: str = ""


@dataclass(frozen=True)
class Winner:
    id: str
    provisional: bool


@dataclass(frozen=True)
class BaselineReport:
    """What the compression that came before edgekit bought on this hardware: the given model's float beside the original's."""

    model: dict[str, JSON]
    speedup: Ratio | None
    size_ratio: float
    zipped_ratio: float
    metric: float | None
    metric_float: float | None
    agreement: Agreement | None
    winner_speedup: Ratio | None
    winner_metric: float | None
    summary: str


@dataclass(frozen=True)
class SustainBucket:
    """What one candidate did in a stretch of a sustained run: ``n`` inferences from ``start_s`` on; latencies in seconds.

    ``clock_hz`` (the slowest timing CPU, median) and ``temperature_c`` (the hottest zone): None where they cannot be read.
    """

    start_s: float
    n: int
    p50: float
    p90: float
    clock_hz: float | None
    temperature_c: float | None


@dataclass(frozen=True)
class SustainRow:
    """One candidate over a sustained run. ``held_down``: what says that the device slowed down; empty when nothing does."""

    id: str
    buckets: tuple[SustainBucket, ...] = ()
    first: Latency | None = None
    last: Latency | None = None
    held_down: str = ""
    failure: str = ""


@dataclass(frozen=True)
class SustainReport:
    """What minutes of work change: the first ``first_s`` seconds beside the last ``last_s``, fastest first in each ranking.

    ``would_change``: whether the verdict would be another one by the last quarter alone (None: there is no verdict to change);
    ``reason`` says why or why not. ``planned_s`` is what was asked for, ``elapsed_s`` what it took.
    """

    planned_s: float
    elapsed_s: float
    first_s: float
    last_s: float
    rows: tuple[SustainRow, ...]
    ranking_first: tuple[str, ...]
    ranking_last: tuple[str, ...]
    would_change: bool | None
    reason: str


@dataclass(frozen=True)
class DeployReport:
    """The document that ``deploy --json`` prints and a bundle keeps (``edgekit.deploy/1``).

    ``timed_input``: the shape of each input that the latencies belong to, None when nothing was measured. ``trail``: what the
    search for operators that stay in float tried, in order: {"step", "candidate", "what", and what was found}.
    """

    model: dict[str, JSON]
    target: str
    profile: str
    device: dict[str, JSON] | None
    winner: Winner | None
    reason: str
    candidates: tuple[CandidateReport, ...]
    calibration: dict[str, JSON] | None
    evaluation: dict[str, JSON] | None
    baseline: BaselineReport | None
    request: dict[str, JSON]
    tools: dict[str, str]
    n_compared: int
    timed_input: dict[str, JSON] | None
    bundle: str | None
    wall_s: float
    peak_rss_bytes: int | None
    warnings: tuple[str, ...] = ()
    trail: tuple[dict[str, JSON], ...] = ()
    sustain: SustainReport | None = None
    schema: str = "edgekit.deploy/1"

    def row(self, candidate_id: str) -> CandidateReport:
        return next(row for row in self.candidates if row.id == candidate_id)
