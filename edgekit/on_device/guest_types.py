"""Stands in for :mod:`edgekit.types` on a device: only what the modules that travel use, for a Python 3.8."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Tuple

Array = Feed = Any


class TensorSpec(NamedTuple):
    name: str
    dtype: str
    shape: Tuple[Any, ...]


class TensorMap(NamedTuple):
    role: str
    original: TensorSpec
    artifact: TensorSpec
    permutation: Optional[Tuple[int, ...]] = None
    scale: Optional[float] = None
    zero_point: Optional[int] = None


class Latency(NamedTuple):
    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    n: int
    ci95: Tuple[float, float]


class Ratio(NamedTuple):
    value: float
    ci95: Tuple[float, float]


class Agreement(NamedTuple):
    value: float
    kind: str
    n: int
    synthetic: bool = False
