"""What the user asks of ``edgekit deploy``, as one frozen value; :mod:`edgekit.request_parsing` reads one from text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args

from .coderef import is_reference
from .errors import UnknownNameError, UsageError
from .measure.sci import Embodied
from .schemes import PRECISIONS, Scalar
from .types import Samples

Percentile = Literal["p50", "p90", "p95", "p99", "mean"]
Objective = Literal["latency", "energy", "size"]
Metered = Literal["winner", "all", "off"]
EvalOn = Literal["host", "device"]
Sparsity = Literal["auto", "on", "off"]
PERCENTILES: tuple[str, ...] = get_args(Percentile)
OBJECTIVES: tuple[str, ...] = get_args(Objective)

MAX_THREADS = 1024  # far above any machine that this is for; runtimes start that many without asking, and stall
LEAST_SUSTAIN_S, MOST_SUSTAIN_S = 4.0, 86_400.0


@dataclass(frozen=True)
class Drop:
    """How much of a metric may be lost: a fraction of its float value when ``relative``, else in the metric's own unit."""

    value: float
    relative: bool = True

    def __str__(self) -> str:
        return f"{self.value * 100:g}%" if self.relative else f"{self.value:g}"


@dataclass(frozen=True)
class LatencyLimit:
    """The slowest acceptable latency, at a percentile of the samples."""

    seconds: float
    percentile: Percentile = "p90"

    def __str__(self) -> str:
        return f"{self.seconds * 1e3:g}ms ({self.percentile})"


@dataclass(frozen=True)
class DeployRequest:
    """Every option of ``edgekit deploy`` that changes its result. Paths and references are text, as they were typed.

    ``target``: plugin, profile or alias names, or ``("auto",)``. ``min_agreement`` None means the default (0.98 without labels,
    0.95 with). ``budget_s`` None means no limit on the time of the search. ``governor``: of the device while it measures;
    None leaves it as it is, as ``power_mode`` does (a Jetson's, by name or number). ``lock_clocks``: of a Jetson, at their
    highest while it measures. ``sparsity``: whether kernels for weights that are pruned 2:4 are used, where a target has them.
    ``sustain_s``: how long to measure the best in turn after the verdict; None is not at all.

    Raises:
        UsageError: a value outside its range.
    """

    model: str
    target: tuple[str, ...] = ("auto",)
    device: str | None = None
    calib: str | None = None
    eval: str | None = None
    metric: str | None = None
    precision: str = "auto"
    max_drop: Drop = field(default_factory=lambda: Drop(0.01))
    min_agreement: float | None = None
    max_latency: LatencyLimit | None = None
    objective: Objective = "latency"
    baseline: str | None = None
    shape: dict[str, tuple[int, ...]] = field(default_factory=dict)
    samples: Samples | None = None
    threads: int = 1
    budget_s: float | None = None
    governor: str | None = None
    power_mode: str | None = None
    lock_clocks: bool = False
    sparsity: Sparsity = "auto"
    sustain_s: float | None = None
    eval_on: EvalOn = "host"
    energy: Metered = "winner"
    grid_intensity: float | None = None
    embodied: Embodied | None = None

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_amounts()
        if not self.target or not all(self.target):
            raise UsageError("no target is named", hint="--target auto takes every target that is installed")
        if self.objective == "energy" and self.energy == "off":
            raise UsageError("--objective energy and --energy off contradict each other", hint="leave --energy out")
        if self.governor is not None and not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", self.governor):
            raise UsageError(f"--governor {self.governor!r} is no name of a governor", hint="performance, for example")
        if self.power_mode is not None and not re.fullmatch(r"[A-Za-z0-9_.+-][A-Za-z0-9_.+ -]{0,39}", self.power_mode):
            raise UsageError(f"--power-mode {self.power_mode!r} is no name of a power mode", hint="MAXN, for example")

    def _check_choices(self) -> None:
        for what, value, known in (
            ("precision", self.precision, tuple(PRECISIONS)),
            ("objective", self.objective, OBJECTIVES),
            ("--energy", self.energy, get_args(Metered)),
            ("--sparsity", self.sparsity, get_args(Sparsity)),
            ("--eval-on", self.eval_on, get_args(EvalOn)),
        ):
            if value not in known:
                raise UnknownNameError(what, value, known)

    def _check_amounts(self) -> None:
        _at_least("--threads", self.threads, 1)
        if self.threads > MAX_THREADS:
            raise UsageError(f"--threads {self.threads} is too large", hint=f"the most is {MAX_THREADS}")
        if self.max_drop.relative and self.max_drop.value >= 1:
            raise UsageError(
                f"--max-drop {self.max_drop} allows to lose the whole metric", hint="write a percentage below 100%, for example 1%"
            )
        if self.samples is not None and self.samples != "auto":
            _at_least("--samples", self.samples, 1)
        if self.sustain_s is not None and not LEAST_SUSTAIN_S <= self.sustain_s <= MOST_SUSTAIN_S:
            raise UsageError(
                f"--sustain {self.sustain_s:g}s is too {'short' if self.sustain_s < LEAST_SUSTAIN_S else 'long'}",
                hint=f"from {LEAST_SUSTAIN_S:g} s to a day; 10m shows most devices hot",
            )
        if self.min_agreement is not None and not 0 <= self.min_agreement <= 1:
            raise UsageError(f"--min-agreement {self.min_agreement:g} is not between 0 and 1", hint="write it as 0.98 or 98%")

    def build_options(self) -> dict[str, Scalar]:
        """What was asked of every candidate's build, by the names that targets give it; what is left to them is not in it."""
        return {} if self.sparsity == "auto" else {"sparsity": self.sparsity}

    def paths(self) -> tuple[Path, ...]:
        """The files and folders that it names; of code its file."""
        named = (self.model, self.baseline, self.calib, self.eval)
        return tuple(Path(text.rpartition(":")[0] if is_reference(text) else text) for text in named if text is not None)

    @property
    def has_chosen_precision(self) -> bool:
        """Whether the user named a reduced precision: its best candidate is taken even when it is not faster than float."""
        return self.precision not in ("auto", "fp32")


OPTIONS: tuple[str, ...] = tuple(f.name for f in fields(DeployRequest) if f.name != "model")
#: Fields where ``file.py:function`` is code that runs.
CODE_FIELDS = ("calib", "eval")


def option_of(name: str) -> str:
    """What a field of :class:`DeployRequest` is called where people write it: ``budget_s`` is ``budget``."""
    return name.removesuffix("_s")


def field_of(option: str) -> str:
    """The field of :class:`DeployRequest` that an option sets."""
    return f"{option}_s" if f"{option}_s" in OPTIONS else option


def is_code_reference(text: str | None) -> bool:
    """Whether ``text`` is ``file.py:function``: something that would run."""
    return text is not None and is_reference(text)


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{option} {value} is too small", hint=f"the least is {least}")
