"""How close a candidate's outputs are to float: SQNR, cosine, agreement. Pure functions of output pairs, streamed.

This file also travels to devices (:mod:`edgekit.on_device`): Python 3.8 and numpy must do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .types import Agreement, Array

Kind = Literal["argmax", "iou", "cosine", "detections", "r2"]
if TYPE_CHECKING:
    Outputs = Mapping[str, Array]
else:
    Outputs = Any  # Python 3.8 has no Mapping[...]

_EMBEDDING_WORDS = ("embed", "feature", "hidden", "pool")
_CLASS_WORDS = ("logit", "score", "class", "cls", "prob", "seg")
_GEOMETRY_WORDS = ("box", "coord", "landmark", "keypoint", "offset", "regress")
_LEAST_DB, _MOST_DB = -20.0, 100.0  # of one feed: beyond either, more says no more
_MAP_SIDE = 8  # a map is at least this many cells on both of its last axes
_BOX_FIELDS = 4  # what a detector says of where an object is
_NO_OBJECT = 0.05  # a score below this detects nothing, whatever the threshold that an application sets


@dataclass(frozen=True)
class OutputKind:
    """How agreement is judged on one output; ``axis`` is that of the classes for argmax, of the fields for detections."""

    kind: Kind
    axis: int = -1


def output_kinds(reference: Sequence[Outputs]) -> dict[str, OutputKind]:
    """Decides, from what float returns and what it is called, how each output's agreement is judged.

    Distributions and logits by argmax, single probabilities by which side of 0.5 they fall, maps in [0, 1] by IoU at 0.5,
    embeddings and everything else by cosine. A matrix is logits unless its name says otherwise; with more axes (tokens, pixels) it
    is logits only if its name says so, because hidden states look the same. Two kinds of output have a cosine that says nothing.
    Rows of boxes in pixels beside scores in [0, 1] (YOLO) keep it at 1 when every score is lost: there the scores are compared
    alone as well. A single value, a regression, has only a sign: it is judged by R², the coefficient of determination, over all
    feeds. ``reference``: outputs of a few feeds.
    """
    return {name: _kind(name, [outputs[name] for outputs in reference]) for name in reference[0]}


def _kind(name: str, arrays: Sequence[Array]) -> OutputKind:
    first = arrays[0]
    if first.dtype.kind in "iub":
        return OutputKind("argmax")  # integers are decisions already
    in_unit = all(a.size == 0 or bool(np.all((a >= 0) & (a <= 1))) for a in arrays)
    for axis in (-1, 1):
        if first.ndim > 1 and first.shape[axis] > 1 and in_unit and all(_sums_to_one(a, axis) for a in arrays):
            return OutputKind("argmax", axis)
    if first.ndim == 1 and first.size > 1 and in_unit and all(_sums_to_one(a, 0) for a in arrays):
        return OutputKind("argmax", 0)  # a distribution without an axis for samples
    if in_unit and first.ndim >= 3 and min(first.shape[-2:]) >= _MAP_SIDE:
        return OutputKind("iou")
    if in_unit and (first.ndim < 2 or math.prod(first.shape[1:]) == 1):
        return OutputKind("argmax")  # one probability: the decision at 0.5
    if _named(name, _CLASS_WORDS) and first.ndim > 2:
        axis = -1 if first.ndim == 3 else 1
        return OutputKind("argmax", axis) if first.shape[axis] > 1 else OutputKind("cosine")
    no_classes = _named(name, _EMBEDDING_WORDS + _GEOMETRY_WORDS) or all(_unit_norm(a) for a in arrays)
    if first.ndim == 2 and first.shape[1] > 1 and not no_classes:
        return OutputKind("argmax")
    if _is_one_value(first):
        return OutputKind("r2")
    fields = _field_axis(arrays)
    return OutputKind("cosine") if fields is None else OutputKind("detections", fields)


def _is_one_value(array: Array) -> bool:
    """Whether it has one number a sample."""
    return array.size == 1 if array.ndim < 2 else math.prod(array.shape[1:]) == 1


def _field_axis(arrays: Sequence[Array]) -> int | None:
    """The axis along which some fields are scores in [0, 1] and at least four, a box, are not; None where there is none."""
    first = arrays[0]
    if first.ndim != 3 or first.size == 0:
        return None
    axis = 1 if first.shape[1] < first.shape[2] else 2
    if any(a.ndim != 3 or a.shape[axis] != first.shape[axis] for a in arrays):
        return None
    scores = np.logical_and.reduce([_in_unit_by_field(a, axis) for a in arrays])
    return axis if np.any(scores) and np.count_nonzero(~scores) >= _BOX_FIELDS else None


def _in_unit_by_field(array: Array, axis: int) -> Array:
    others = tuple(other for other in range(array.ndim) if other != axis)
    fields: Array = np.all((array >= 0) & (array <= 1), axis=others)
    return fields


def _named(name: str, words: Sequence[str]) -> bool:
    return any(word in name.lower() for word in words)


def _sums_to_one(array: Array, axis: int) -> bool:
    return bool(np.allclose(array.astype(np.float64).sum(axis=axis), 1, atol=1e-2))


def _unit_norm(array: Array) -> bool:
    if array.ndim < 2:
        return False
    return bool(np.allclose(np.linalg.norm(array.astype(np.float64), axis=-1), 1, atol=1e-2))


@dataclass
class _Regression:
    """Sums over the values of a regression, float's ``x`` and the candidate's ``y``."""

    n: int = 0
    mean: float = 0.0
    spread: float = 0.0  # sum of (x - mean)²: Welford's recurrence, because a large mean would cancel in a sum of squares
    power: float = 0.0
    error: float = 0.0

    def add(self, a: Array, b: Array) -> None:
        y = b.astype(np.float64).ravel()
        for index, x in enumerate(a.astype(np.float64).ravel()):
            self.n += 1
            before = float(x) - self.mean
            self.mean += before / self.n
            self.spread += before * (float(x) - self.mean)
            self.power += float(x) ** 2
            self.error += float(x - y[index]) ** 2

    @property
    def r2(self) -> float:
        """1 - error / spread, not below 0. What float finds constant has no spread: there the error is held against its power."""
        if self.error == 0:
            return 1.0
        whole = self.spread if self.spread > 1e-12 * self.power else self.power
        return max(0.0, 1 - self.error / whole) if whole > 0 else 0.0


@dataclass
class Comparison:
    """Sums over pairs of outputs; ``add`` one feed at a time, then read the figures."""

    kinds: Mapping[str, OutputKind]
    signal: float = 0.0
    noise: float = 0.0
    dot: float = 0.0
    candidate_power: float = 0.0
    feeds: int = 0
    equal: dict[str, float] = field(default_factory=dict)
    total: dict[str, float] = field(default_factory=dict)
    _feeds_db: list[float] = field(default_factory=list)
    _regressions: dict[str, _Regression] = field(default_factory=dict)

    def add(self, reference: Outputs, candidate: Outputs) -> None:
        """Takes the outputs of one feed. A shape that differs, or a value that is not finite, counts as disagreement."""
        self.feeds += 1
        signal, noise, equal, total = self.signal, self.noise, self._n_equal, self._n_total
        for name, kind in self.kinds.items():
            a, b = reference[name], candidate[name]
            if not _comparable(a, b):
                self._count(name, 0, 1)
                self.noise = math.inf
                continue
            a, b = _finite(a), _finite(b)
            if a.dtype.kind == "f":
                x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
                self.signal += float(x @ x)
                self.noise += float((x - y) @ (x - y))
                self.dot += float(x @ y)
                self.candidate_power += float(y @ y)
            if kind.kind == "r2":
                self._regressions.setdefault(name, _Regression()).add(a, b)
            else:
                self._count(name, *_agreeing(a, b, kind))
        signal, noise = self.signal - signal, math.inf if self.is_broken else self.noise - noise
        if all(reference[name].dtype.kind != "f" for name in self.kinds) and not self.is_broken:
            signal = self._n_total - total
            noise = signal - (self._n_equal - equal)
        self._feeds_db.append(_decibels(signal, noise))

    def _count(self, name: str, equal: float, total: float) -> None:
        self.equal[name] = self.equal.get(name, 0) + equal
        self.total[name] = self.total.get(name, 0) + total

    @property
    def _n_equal(self) -> float:
        return sum(self.equal.values())

    @property
    def _n_total(self) -> float:
        return sum(self.total.values())

    @property
    def sqnr_db(self) -> float | None:
        """Signal-to-quantization-noise ratio over all float outputs, in dB; None where it has no finite value."""
        if self.signal <= 0 or self.noise <= 0 or self.is_broken:
            return None
        return 10 * math.log10(self.signal / self.noise)

    @property
    def is_broken(self) -> bool:
        """Whether an output had another shape than float's, or values that are not finite where float's are."""
        return math.isinf(self.noise)

    @property
    def cosine(self) -> float | None:
        if self.signal <= 0 or self.candidate_power <= 0 or self.is_broken:
            return None
        if self.noise == 0:
            return 1.0  # the quotient below would be a rounding away from it
        return max(-1.0, min(1.0, self.dot / math.sqrt(self.signal * self.candidate_power)))

    @property
    def closeness_db(self) -> float:
        """For ranking: the SQNR, or, where all outputs are integers (classes, masks), all of them over those that differ, in dB;
        infinite where the outputs are exactly float's, minus infinite where it has no value.
        """
        if self.sqnr_db is not None:
            return self.sqnr_db
        if self.signal > 0 or self.noise > 0:
            return math.inf if self.cosine == 1 else -math.inf
        differing = self._n_total - self._n_equal
        if differing > 0:
            return 10 * math.log10(self._n_total / differing)
        return math.inf if self._n_total > 0 else -math.inf

    @property
    def feeds_db(self) -> list[float]:
        """Each feed's own closeness, -20 to 100 dB."""
        return list(self._feeds_db)

    @property
    def usual_db(self) -> float:
        """The mean over feeds of each feed's own closeness, -20 to 100 dB. For choosing by few feeds: one with large errors, which
        decides ``sqnr_db``, counts as one.
        """
        return sum(self._feeds_db) / len(self._feeds_db) if self._feeds_db else -math.inf

    def agreement(self, *, synthetic: bool = False) -> Agreement | None:
        """The worst output's agreement: a model is as right as its worst output."""
        values = {name: one.r2 for name, one in self._regressions.items()}
        values.update({name: self.equal[name] / self.total[name] for name in self.total if self.total[name] > 0})
        if not values:
            return None
        worst = min(values, key=lambda name: values[name])
        return Agreement(values[worst], self.kinds[worst].kind, self.feeds, synthetic)


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0:
        return _MOST_DB
    if signal <= 0 or math.isinf(noise):
        return _LEAST_DB
    return min(_MOST_DB, max(_LEAST_DB, 10 * math.log10(signal / noise)))


def _comparable(a: Array, b: Array) -> bool:
    """Whether both have one shape and, where one is infinite or not a number, the other is the same."""
    if a.shape != b.shape:
        return False
    if a.dtype.kind != "f" or b.dtype.kind != "f":
        return True
    odd = ~np.isfinite(a)
    if not np.array_equal(odd, ~np.isfinite(b)):
        return False
    x, y = a[odd], b[odd]
    return bool(np.all((x == y) | (np.isnan(x) & np.isnan(y))))  # array_equal(equal_nan) came after the numpy of Python 3.8's time


def _finite(a: Array) -> Array:
    """The same with 0 for what is not finite: both sides agree there, and a mask of -inf must not swallow every sum."""
    return np.nan_to_num(a, nan=0.0, posinf=0.0, neginf=0.0) if a.dtype.kind == "f" and not np.all(np.isfinite(a)) else a


def _agreeing(a: Array, b: Array, kind: OutputKind) -> tuple[float, float]:
    """How much agrees, of how much."""
    if a.size == 0:
        return 1, 1
    if kind.kind == "iou":
        on, also_on = decisions(a, kind), decisions(b, kind)
        union = float(np.count_nonzero(on | also_on))
        # Where neither sees anything they agree; one cell's worth, so that it does not outweigh what is seen.
        return (float(np.count_nonzero(on & also_on)), union) if union else (1, 1)
    if kind.kind == "detections":
        scores = _in_unit_by_field(a, kind.axis)
        found, also_found = np.compress(scores, a, kind.axis), np.compress(scores, b, kind.axis)
        seen = np.maximum(found, also_found) >= _NO_OBJECT
        elsewhere = _cosine(np.compress(~scores, a, kind.axis), np.compress(~scores, b, kind.axis))
        return min(elsewhere, _cosine(found[seen], also_found[seen])), 1
    if kind.kind == "cosine":
        return _cosine(a, b), 1
    same = decisions(a, kind) == decisions(b, kind)
    return float(np.count_nonzero(same)), same.size


def decisions(array: Array, kind: OutputKind) -> Array:
    """What an output of kind ``argmax`` or ``iou`` decides: classes, or which side of 0.5."""
    if array.dtype.kind in "iub" or array.size == 0:
        return array
    if kind.kind == "iou" or (array.ndim < 2 and kind.axis != 0) or (array.ndim > 1 and math.prod(array.shape[1:]) == 1):
        return array > 0.5
    return np.asarray(array.argmax(kind.axis))


def _cosine(a: Array, b: Array) -> float:
    if np.array_equal(a, b):
        return 1.0  # the quotient below would be a rounding away from it
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norm if norm > 0 else 0.0


def prediction_agreement(reference: Sequence[object], candidate: Sequence[object]) -> Agreement:
    """The fraction of equal predictions, as an evaluation returned them."""
    if len(reference) != len(candidate):
        return Agreement(0.0, "predictions", len(reference))
    equal = sum(1 for a, b in zip(reference, candidate, strict=True) if a == b)
    return Agreement(equal / max(1, len(reference)), "predictions", len(reference))
