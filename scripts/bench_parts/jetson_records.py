"""What a run of the TensorRT benchmark found, as frozen values; kept as JSON beside the document that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from . import stored
from .records import Taken

SCHEMA = "edgekit.bench-jetson/1"


@dataclass(frozen=True)
class Precision:
    """The candidate of one precision: one that holds the gates where there is one, otherwise the closest of that precision.

    ``holds``: it holds the gates on labelled data in the CPU simulation; ``reason``: why not. ``rules``: errors of edgekit's
    linter. ``parser``: what tensorrt-rtx said when it was to build it; None where it was not asked.
    """

    scheme: str
    id: str
    holds: bool
    reason: str
    sqnr_db: float | None = None
    agreement: float | None = None
    metric: float | None = None
    rules: tuple[str, ...] = ()
    warnings: int = 0
    parser: bool | None = None
    parser_said: str = ""
    kept_float: int = 0


@dataclass(frozen=True)
class Int8:
    """One int8 model of the same float graph. ``sqnr_db``: against float on samples that no calibration has seen."""

    who: str
    sqnr_db: float | None = None
    convolutions: int = 0
    products: int = 0
    fails: str = ""


@dataclass(frozen=True)
class Beside:
    """edgekit's int8 beside modelopt's. Names are those of first outputs.

    ``ours``: what edgekit hands over where no operator is spared, chosen by samples that it held out; ``plain``: the same before
    anything was refined. ``additions``: of two activations; ``differing``: those of which the two quantize other inputs.
    """

    samples: int
    ours: Int8
    plain: Int8
    theirs: tuple[Int8, ...]
    only_ours: tuple[str, ...] = ()
    only_theirs: tuple[str, ...] = ()
    additions: int = 0
    differing: tuple[str, ...] = ()

    @property
    def best(self) -> Int8 | None:
        """Theirs that lies closest to float."""
        found = [each for each in self.theirs if each.sqnr_db is not None]
        return max(found, key=lambda each: each.sqnr_db or 0.0) if found else None


@dataclass(frozen=True)
class ModelResult:
    """All of one model. ``carried``: the candidates in its bundle; ``fails``: why there is no bundle."""

    name: str
    taken: Taken
    profile: str
    wall_s: float
    metric: str = ""
    metric_float: float | None = None
    carried: tuple[str, ...] = ()
    has_program: bool = False
    precisions: tuple[Precision, ...] = ()
    beside: Beside | None = None
    beside_reason: str = ""
    fails: str = ""


@dataclass(frozen=True)
class Document:
    """Every model's latest result, in the order of the list."""

    models: tuple[ModelResult, ...] = field(default=())
    schema: str = SCHEMA


def data_path(document: Path) -> Path:
    """``results.md`` -> ``results.jetson.json``."""
    return document.with_suffix(".jetson.json")


def read(path: Path) -> Document:
    """See :func:`.stored.read`."""
    return stored.read(path, Document)


def merged(earlier: Document, new: ModelResult, order: tuple[str, ...]) -> Document:
    """``earlier`` with the model's result in the place of what it had."""
    by_name = {result.name: result for result in earlier.models} | {new.name: new}
    return Document(tuple(by_name[name] for name in order if name in by_name))
