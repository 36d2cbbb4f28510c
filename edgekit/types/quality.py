"""How close a candidate is to float, and how right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .tensors import JSON


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

    ``value``: the largest difference, as a fraction of the output's largest magnitude on the host; None where shapes differ, or
    where what is not finite differs. Above ``tolerance`` the artifact is judged on the device.
    """

    value: float | None
    tolerance: float
    n: int

    @property
    def is_small(self) -> bool:
        return self.value is not None and self.value <= self.tolerance
