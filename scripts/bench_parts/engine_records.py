"""What a run of the engine's benchmark found, as frozen values; kept as JSON beside the document that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edgekit.types import Ratio

from . import stored
from .records import TaskResult

SCHEMA = "edgekit.bench-engine/1"
OURS, MINMAX, PERCENTILE = "edgekit_histograms", "onnxruntime_minmax", "onnxruntime_percentile"


@dataclass(frozen=True)
class Stamp:
    """Where and when a part was run."""

    commit: str
    cpu: str
    features: tuple[str, ...]
    date: str
    versions: dict[str, str]


# ---------------------------------------------------------------- memory and time
@dataclass(frozen=True)
class CalibrationRun:
    """One calibration in a process of its own. ``peak_bytes``: its resident set; ``fails``: why there are no numbers."""

    who: str
    samples: int
    wall_s: float | None = None
    peak_bytes: int | None = None
    tensors: int | None = None
    fails: str = ""


@dataclass(frozen=True)
class CalibrationResult:
    """Runs in the order in which they were made."""

    stamp: Stamp
    runs: tuple[CalibrationRun, ...] = ()

    def of(self, who: str, samples: int) -> list[CalibrationRun]:
        return [run for run in self.runs if (run.who, run.samples) == (who, samples)]


# ---------------------------------------------------------------- quality
@dataclass(frozen=True)
class QualityRow:
    """An artifact's closeness to float on feeds that no calibration has seen; ``fails``: why there is none."""

    name: str
    sqnr_db: float | None = None
    agreement: float | None = None
    detail: str = ""
    fails: str = ""


@dataclass(frozen=True)
class QualityResult:
    """One task. ``operators``: how many are quantized, in every artifact the same; ``fails``: why nothing is compared."""

    task: str
    stamp: Stamp
    operators: int = 0
    calibration_feeds: int = 0
    unseen_feeds: int = 0
    ours: QualityRow | None = None
    peers: tuple[QualityRow, ...] = ()
    fails: str = ""


# ---------------------------------------------------------------- verdicts
@dataclass(frozen=True)
class Against:
    """How fast a target's winner is against another artifact of the same rounds: above 1 it is faster."""

    target: str
    winner: str
    other: str
    ratio: Ratio


@dataclass(frozen=True)
class VerdictResult:
    """One task: deploys and rows as ``scripts/bench tasks`` has them, and each winner against all others on its target."""

    result: TaskResult
    against: tuple[Against, ...] = ()

    @property
    def task(self) -> str:
        return self.result.task


# ---------------------------------------------------------------- large models
@dataclass(frozen=True)
class LargeResult:
    """One deploy of a large model by the command line. ``peak_bytes``: of its process and all that it started, together."""

    name: str
    stamp: Stamp
    operators: int
    size_bytes: int
    budget_s: float
    wall_s: float | None = None
    peak_bytes: int | None = None
    winner: str = ""
    measured: int = 0
    sparing_steps: int = 0
    fails: str = ""


@dataclass(frozen=True)
class EngineDocument:
    """The latest result of every part."""

    memory: CalibrationResult | None = None
    time: CalibrationResult | None = None
    quality: tuple[QualityResult, ...] = ()
    verdicts: tuple[VerdictResult, ...] = ()
    large: tuple[LargeResult, ...] = ()
    schema: str = SCHEMA


def data_path(document: Path) -> Path:
    """``results.md`` -> ``results.engine.json``."""
    return document.with_suffix(".engine.json")


def read(path: Path) -> EngineDocument:
    """See :func:`.stored.read`."""
    return stored.read(path, EngineDocument)


Result = TypeVar("Result", QualityResult, VerdictResult)


def with_quality(document: EngineDocument, new: QualityResult, order: tuple[str, ...]) -> EngineDocument:
    return replace(document, quality=_merged(document.quality, new, order))


def with_verdict(document: EngineDocument, new: VerdictResult, order: tuple[str, ...]) -> EngineDocument:
    return replace(document, verdicts=_merged(document.verdicts, new, order))


def with_large(document: EngineDocument, new: LargeResult) -> EngineDocument:
    kept = [result for result in document.large if result.name != new.name]
    return replace(document, large=tuple(sorted([*kept, new], key=lambda result: result.name)))


def _merged(earlier: tuple[Result, ...], new: Result, order: tuple[str, ...]) -> tuple[Result, ...]:
    by_task = {result.task: result for result in earlier} | {new.task: new}
    return tuple(by_task[name] for name in order if name in by_task)
