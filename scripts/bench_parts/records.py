"""What a run of the tasks found, as frozen values; kept as JSON beside the document that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgekit.schemes import Scalar
from edgekit.types import Ratio

from . import stored

SCHEMA = "edgekit.bench-tasks/1"
TARGETS = ("onnx", "openvino", "tflite")
AUTO = "auto"
Maker = Literal["reference", "edgekit", "peer", "hand"]


@dataclass(frozen=True)
class Taken:
    """Where and when a task was run. ``features``: those of the processor that a stated line may ask for."""

    commit: str
    cpu: str
    features: tuple[str, ...]
    date: str
    versions: dict[str, str]
    budget_s: float


@dataclass(frozen=True)
class Deployed:
    """One ``edgekit deploy``, by its own report; ``fails`` says why there is none. ``reason``: the report's, for its choice.

    ``own_float``: the winner's speed against its own target's float, in that run.
    """

    target: str
    wall_s: float
    winner: str | None = None
    reason: str = ""
    scheme: str = ""
    build_options: dict[str, Scalar] = field(default_factory=dict)
    run_options: dict[str, Scalar] = field(default_factory=dict)
    speedup: Ratio | None = None
    own_float: Ratio | None = None
    metric: float | None = None
    agreement: float | None = None
    fails: str = ""


@dataclass(frozen=True)
class Quality:
    """An artifact on one of the two labelled sets, beside float.

    ``drop_ci95``: paired 95 % interval of what was lost, in the metric's unit; None where the task gives no values a sample.
    ``agreement_kind``: that of ``edgekit.types.Agreement``. ``reason``: why it does not hold, or what it needed to hold.
    """

    value: float
    n: int
    drop_ci95: tuple[float, float] | None
    agreement: float
    agreement_kind: str
    holds: bool
    reason: str


@dataclass(frozen=True)
class Row:
    """One artifact in the common measurement. ``targets``: the deploys that chose it. ``speedup``: against ONNX Runtime float32."""

    name: str
    maker: Maker
    detail: str = ""
    targets: tuple[str, ...] = ()
    fails: str = ""
    evaluation: Quality | None = None
    third: Quality | None = None
    speedup: Ratio | None = None
    p50_s: float | None = None
    trust: str = ""


@dataclass(frozen=True)
class TaskResult:
    """All of one task. ``auto_against_best``: the speed of auto's winner against the best single target's, ``best_single``."""

    task: str
    metric: str
    taken: Taken
    deploys: tuple[Deployed, ...]
    rows: tuple[Row, ...]
    auto_against_best: Ratio | None = None
    best_single: str = ""

    def row_of(self, target: str) -> Row | None:
        """The artifact that a deploy to ``target`` chose."""
        return next((row for row in self.rows if target in row.targets), None)


@dataclass(frozen=True)
class Document:
    """Every task's latest result, in the order of the list of tasks."""

    tasks: tuple[TaskResult, ...] = ()
    schema: str = SCHEMA


def data_path(document: Path) -> Path:
    """``results.md`` -> ``results.tasks.json``."""
    return document.with_suffix(".tasks.json")


def read(path: Path) -> Document:
    """See :func:`.stored.read`."""
    return stored.read(path, Document)


def merged(earlier: Document, new: TaskResult, order: tuple[str, ...]) -> Document:
    """``earlier`` with the task's result in the place of what it had."""
    by_name = {result.task: result for result in earlier.tasks} | {new.task: new}
    return Document(tuple(by_name[name] for name in order if name in by_name))
