"""The frozen values that travel from a model to a verdict. No behaviour beyond identity; JSON is in :mod:`edgekit.values`.

Units are in the names (``_s`` seconds, ``_bytes``, ``_j`` joules, ``_db`` decibels). What was not measured is ``None`` and the
field beside it says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .schemes import Scalar, Scheme

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
else:
    Array = Any  # this module is imported where numpy is not

JSON = Any  # a value of plain JSON types
NodeId = str  # name of a node's first output in the normalised ONNX; never a node name, never a vendor's name
Feed = Mapping[str, "Array"]  # {input name: array}, batch axis included: one predict call
Samples = int | Literal["auto"]  # how many calibration feeds to use: at most so many, or until the ranges are stable
DeviceKind = Literal["real", "emulated", "stand-in"]
Stage = Literal["rejected", "built", "judged", "measured"]


# ---------------------------------------------------------------- tensors and data
@dataclass(frozen=True)
class TensorSpec:
    """One input or output: numpy dtype name; shape entries are sizes, or a name where the size is free."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Feeds(Protocol):
    """A re-iterable stream of feeds; every ``iter()`` starts from the beginning. ``len`` is the number of feeds."""

    def __iter__(self) -> Iterator[Feed]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class BuildData:
    """What a target may look at while it builds: never labels, never evaluation data.

    ``manifest_sha256`` identifies the fit feeds (their hashes in order) for cache keys. ``until_stable``: the fit feeds come evenly
    spread over the data, coarsely first, and calibration may stop when more of them would not move the ranges.
    """

    fit: Feeds
    held_out: Feeds
    manifest_sha256: str
    until_stable: bool = False


# ---------------------------------------------------------------- hardware
@dataclass(frozen=True)
class Profile:
    """What is known of a kind of board before one is at hand. Read from ``device_profiles/*.toml``."""

    name: str
    family: str
    arch: str
    targets: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    memory_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    peak: dict[str, float] = field(default_factory=dict)
    power_modes: tuple[str, ...] = ()
    rails: tuple[dict[str, str], ...] = ()
    runtimes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class CpuPolicy:
    """Cores that share a clock, and who chooses it (Linux cpufreq).

    ``governor``: the one in force, ``None`` where it cannot be read; ``available``: those that can be asked for; ``settable``: the
    agent's user may write it without help.
    """

    name: str
    cpus: str
    governor: str | None
    available: tuple[str, ...] = ()
    settable: bool = False


@dataclass(frozen=True)
class PowerSensor:
    """A meter that the agent found: what it measures, its rails, and, where it cannot be read as it is, why (otherwise empty)."""

    name: str
    scope: str
    rails: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Jetson:
    """What an NVIDIA Jetson says of itself; ``None`` is what it does not tell, and ``reasons`` says why.

    ``l4t``: the release of Jetson Linux, ``jetpack``: the JetPack that brings it. ``power_mode``: nvpmodel's, by name;
    ``power_modes``: those that can be set. ``gpu_clock_hz``: the lowest and highest that the GPU may have now; ``clocks_locked``:
    they are the same.
    """

    l4t: str | None
    jetpack: str | None
    power_mode: str | None
    power_modes: tuple[str, ...] = ()
    gpu_clock_hz: tuple[float, float] | None = None
    clocks_locked: bool | None = None
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceFacts:
    """What the agent's probe read on the device.

    Attributes:
        board: the maker's name of the board or product; ``None`` where nothing tells it.
        board_ids: what drivers know it by (the device tree's ``compatible``, an Android product and its chip), most special first.
        address_bits: 32 or 64, of the agent's Python: a 64-bit kernel may run a 32-bit system.
        libc: the C library with its version, such as ``glibc 2.36``; empty where it cannot be told. Wheels depend on it.
        in_venv: the agent's Python is that of a virtual environment; ``can_make_venv``: it can make one (Debian splits that off).
        disk_free_bytes: free for this user where the agent keeps its files.
        policies: groups of cores and their governors; empty on virtual machines and where the kernel has none.
        power_reason: why ``power_sensors`` is empty.
        stand_in: the device says that it stands in for another one, so its times are not that one's.
        jetson: of NVIDIA's Jetson boards only.
    """

    kind: DeviceKind
    system: str
    machine: str
    python: str
    cpu_model: str
    cpu_features: tuple[str, ...]
    cores: int
    memory_bytes: int | None
    memory_available_bytes: int | None
    runtimes: dict[str, str]
    governor: str | None = None
    kernel: str = ""
    board: str | None = None
    board_ids: tuple[str, ...] = ()
    address_bits: int | None = None
    libc: str = ""
    in_venv: bool = False
    can_make_venv: bool = True
    disk_free_bytes: int | None = None
    policies: tuple[CpuPolicy, ...] = ()
    thermal_zones: tuple[str, ...] = ()
    power_sensors: tuple[PowerSensor, ...] = ()
    power_reason: str = ""
    stand_in: bool = False
    jetson: Jetson | None = None


@dataclass(frozen=True)
class Site:
    """Where an artifact is to run: the profile, and the facts of a device when one is at hand."""

    profile: Profile
    device: DeviceFacts | None = None


# ---------------------------------------------------------------- candidates and artifacts
@dataclass(frozen=True)
class Candidate:
    """One thing worth trying. Options are JSON scalars; empty options and no ``keep_float`` mean the target's defaults."""

    target: str
    scheme: Scheme
    keep_float: frozenset[NodeId] = frozenset()
    build_options: dict[str, Scalar] = field(default_factory=dict)
    run_options: dict[str, Scalar] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """``"onnx/int8"``; with a hash of the canonical JSON behind ``~`` when anything is not default."""
        from .values import sha256_json, to_json

        plain = f"{self.target}/{self.scheme.slug}"
        if self == Candidate(self.target, _default_scheme(self.scheme)):
            return plain
        return f"{plain}~{sha256_json(to_json(self))[:8]}"


def _default_scheme(scheme: Scheme) -> Scheme:
    from .schemes import Vendor, WeightOnly

    if isinstance(scheme, WeightOnly):
        return WeightOnly(bits=scheme.bits)
    return Vendor(scheme.slug) if isinstance(scheme, Vendor) else type(scheme)()


@dataclass(frozen=True)
class Reject:
    """Why a candidate is not tried: what does not fit, why, and what to do instead."""

    what: str
    why: str
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" + (f"; instead: {self.instead}" if self.instead else "")


@dataclass(frozen=True)
class TensorMap:
    """How one of the model's tensors appears in an artifact.

    ``permutation`` takes the original axes to the artifact's (``artifact = original.transpose(permutation)``); scale and zero point
    are set when the artifact's tensor is quantized: ``real = scale * (stored - zero_point)``.
    """

    role: Literal["input", "output"]
    original: TensorSpec
    artifact: TensorSpec
    permutation: tuple[int, ...] | None = None
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Artifact:
    """Files that a runtime loads, by path relative to the folder they were built in, with their sha256."""

    files: dict[str, str]
    entry: str
    io: tuple[TensorMap, ...]
    needs_device_build: bool = False
    provenance: dict[str, JSON] = field(default_factory=dict)

    def size_bytes(self, folder: Path) -> int:
        return sum((folder / name).stat().st_size for name in self.files)


@dataclass(frozen=True)
class Runner:
    """The device side of a target: self-contained source files, and how to start them.

    ``tolerance``: how far a device's outputs may lie from the host's for the same artifact, as a fraction of the output's largest
    magnitude on the host. ``host_options``: options that hold on a host that judges an artifact of another device, where its own
    kernels would not compute what the device's do.
    """

    code: tuple[Path, ...]
    entry: str
    requires: tuple[str, ...]
    files: tuple[str, ...]
    options: dict[str, JSON] = field(default_factory=dict)
    tolerance: float = 1e-3
    host_options: dict[str, JSON] = field(default_factory=dict)


# ---------------------------------------------------------------- measurements
@dataclass(frozen=True)
class Latency:
    """Seconds an inference, host memory to host memory. ``ci95`` belongs to ``p50`` (bootstrap over rounds)."""

    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    n: int
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Ratio:
    """A speed-up with its 95 % interval: above 1 means faster than what it is compared with."""

    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class WarmUp:
    """``steady`` None: not known, as with a runner's own loop, which warms up by itself and does not tell how that went."""

    n: int
    elapsed_s: float
    steady: bool | None


@dataclass(frozen=True)
class Reading:
    """What was read right before and right after one burst; None is what this device does not tell.

    ``window_s``: the time between. In CPU seconds: ``busy_s`` of the timing CPUs together, ``stolen_s`` of it by a hypervisor,
    ``machine_busy_s`` of all CPUs, ``own_s`` by the candidate itself. ``waited_s``: how long its threads were ready to run while
    others ran. ``pressure_s``: how long anything on the machine waited for a CPU. At the end: the clock of each timing CPU and
    the temperature of each zone. ``throttled``: what counted, or said, that the clock was held down.
    """

    window_s: float
    busy_s: float | None = None
    stolen_s: float | None = None
    machine_busy_s: float | None = None
    own_s: float | None = None
    waited_s: float | None = None
    pressure_s: float | None = None
    clocks_hz: tuple[float, ...] | None = None
    temperatures_c: tuple[float | None, ...] = ()
    throttled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Zone:
    """A thermal zone of the device. From ``passive_c`` on the kernel slows it down; None where it names no such temperature."""

    name: str
    passive_c: float | None = None


@dataclass(frozen=True)
class Conditions:
    """Under which conditions one candidate was measured: one reading a round, in order.

    ``cpus``: those that were timed on (empty: not pinned); ``tick_s``: the grain of the kernel's CPU times. ``reasons``: {what
    could not be read: why}.
    """

    cpus: tuple[int, ...]
    machine_cpus: int
    tick_s: float
    governor: str | None
    zones: tuple[Zone, ...]
    readings: tuple[Reading, ...]
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ConditionSummary:
    """The conditions of a measurement in a few numbers; None is what the device does not tell, and ``reasons`` says why.

    ``clock_hz``: lowest and highest of the slowest timing CPU. ``temperature_c``: coolest and hottest reading of the hottest zone.
    Fractions of the time: ``waited`` of the candidate's own threads, ``others`` of the timing CPUs, ``others_machine`` of all.
    """

    governor: str | None
    clock_hz: tuple[float, float] | None
    temperature_c: tuple[float, float] | None
    waited: float | None
    others: float | None
    others_machine: float | None
    throttled: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """Every sample of one candidate, as it was taken. Rounds are interleaved over all candidates of a run."""

    loop: str
    rounds: tuple[tuple[float, ...], ...]
    warm_up: WarmUp
    load_s: float
    first_inference_s: float
    peak_memory_bytes: int | None
    mode: Literal["resident", "reloaded"]
    requested: dict[str, JSON]
    effective: dict[str, JSON]
    threads: int
    conditions: Conditions | None = None

    def samples(self) -> list[float]:
        return [sample for one_round in self.rounds for sample in one_round]


@dataclass(frozen=True)
class Turn:
    """One candidate's turn of a sustained run: ``n`` inferences from ``at_s`` on, of which ``samples`` (seconds) are kept.

    Turns of one ``cycle`` belong together: every candidate had one, at nearly the same time.
    """

    cycle: int
    at_s: float
    n: int
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Sustained:
    """What one candidate did over a sustained run; ``conditions`` has one reading a turn. ``elapsed_s`` is of the whole run."""

    turns: tuple[Turn, ...]
    elapsed_s: float
    conditions: Conditions


@dataclass(frozen=True)
class RunFailure:
    """A candidate that failed on the device: that is its result, not the end of the run."""

    kind: Literal["crash", "error", "timeout", "out-of-memory", "missing-runtime"]
    message: str


# ---------------------------------------------------------------- quality
@dataclass(frozen=True)
class SliceValue:
    value: float
    n: int


@dataclass(frozen=True)
class Score:
    """What an evaluation says of one set of predictions.

    ``predictions``: one hashable JSON value a sample where the evaluation returns them (agreement compares them);
    ``per_sample``: the metric of each sample, for paired intervals.
    """

    name: str
    value: float
    higher_is_better: bool
    n: int
    slices: dict[str, SliceValue] = field(default_factory=dict)
    predictions: tuple[JSON, ...] | None = None
    per_sample: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Agreement:
    """How often a candidate says the same as float on held-out data (or on synthetic input, then ``synthetic``)."""

    value: float
    kind: Literal["predictions", "argmax", "iou", "cosine", "detections", "r2"]
    n: int
    synthetic: bool = False


@dataclass(frozen=True)
class SliceVerdict:
    value: float
    n: int
    value_float: float
    drop: float
    allowed: float
    accepted: bool
    resolution_limited: bool


@dataclass(frozen=True)
class Fidelity:
    """Closeness to float. SQNR, cosine and ``held_out_agreement`` are over the outputs of all held-out feeds; ``agreement`` is the
    one that is gated; the metric is of the evaluation data.
    """

    sqnr_db: float | None
    cosine: float | None
    agreement: float | None
    metric_name: str | None = None
    metric: float | None = None
    metric_float: float | None = None
    higher_is_better: bool | None = None
    n: int | None = None
    slices: dict[str, SliceVerdict] = field(default_factory=dict)
    suspicious: str | None = None
    held_out_agreement: float | None = None


@dataclass(frozen=True)
class DeviceDifference:
    """How far an artifact's outputs on the device lie from those on the host, over ``n`` held-out feeds.

    ``value``: the largest difference, as a fraction of the output's largest magnitude on the host; None where shapes differ or only
    one of the two is finite. Above ``tolerance`` the artifact is judged on the device.
    """

    value: float | None
    tolerance: float
    n: int

    @property
    def is_small(self) -> bool:
        return self.value is not None and self.value <= self.tolerance


# ---------------------------------------------------------------- the verdict
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


def sha256_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
