"""What was measured of an artifact on a device, and under which conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .tensors import JSON


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
