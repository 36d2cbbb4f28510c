"""The metrics edgekit computes itself, over the model's first output. Anything else is a function of the user's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import DataError, ModelError, UnknownNameError

if TYPE_CHECKING:
    from .types import Array

    Label = int | float | Array


@dataclass(frozen=True)
class Judged:
    """One sample: the predicted class (None for regression), and what the metric averages."""

    prediction: int | None
    value: float


@dataclass(frozen=True)
class Metric:
    """How one output and its label become a number, and how the numbers of many samples become one.

    ``is_mean``: the metric is the mean of its samples, so that these can be compared pair by pair.
    """

    name: str
    higher_is_better: bool
    judge: Callable[[Array, Label], Judged]
    combine: Callable[[Sequence[float]], float]
    is_mean: bool = True


def find_metric(name: str) -> Metric:
    """The metric called ``name``.

    Raises:
        UnknownNameError: with the nearest names.
    """
    key = name.strip().lower().replace("-", "").replace("_", "")
    key = _ALIASES.get(key, key)
    if key not in METRICS:
        raise UnknownNameError("metric", name, sorted([*METRICS, *_ALIASES]))
    return METRICS[key]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _root_mean(values: Sequence[float]) -> float:
    return math.sqrt(_mean(values))


def _scores(output: Array) -> Array:
    """The class scores of one sample, from an output of shape (..., C) whose other axes are 1."""
    scores = output.reshape(-1)
    if output.ndim == 0 or output.shape[-1] != scores.size or scores.size < 2:
        raise DataError(
            "accuracy needs one row of class scores a sample",
            why=f"the model's first output has shape {list(output.shape)}",
            hint="write a function(predict) in a file and pass it as file.py:function",
        )
    if not np.isfinite(scores).all():
        raise ModelError("the model's scores are not finite", why="NaN or infinity in its first output")
    return scores


def _class_index(label: Label, classes: int) -> int:
    if isinstance(label, bool) or not isinstance(label, int):
        raise DataError(
            "labels must be class numbers", why=f"one is {label!r}" if isinstance(label, (bool, float)) else "one is an array"
        )
    if not 0 <= label < classes:
        raise DataError("a label is no class of the model", why=f"it is {label}, the model has classes 0 to {classes - 1}")
    return label


def _judge_accuracy(output: Array, label: Label) -> Judged:
    scores = _scores(output)
    prediction = int(np.argmax(scores))
    return Judged(prediction, float(prediction == _class_index(label, scores.size)))


def _judge_top5(output: Array, label: Label) -> Judged:
    scores = _scores(output)
    if scores.size <= 5:
        raise DataError("top5 says nothing about a model of so few classes", why=f"it has {scores.size}", hint="use accuracy")
    best_first = np.argsort(-scores.astype(np.float64), kind="stable")[:5]
    return Judged(int(best_first[0]), float(_class_index(label, scores.size) in best_first))


def _errors(output: Array, label: Label) -> Array:
    expected = np.asarray(label, dtype=np.float64).reshape(-1)
    given = output.astype(np.float64).reshape(-1)
    if expected.size != given.size:
        raise DataError(
            "a label has another size than the model's first output",
            why=f"{expected.size} numbers against shape {list(output.shape)}",
        )
    if not np.isfinite(given).all():
        raise ModelError("the model's output is not finite", why="NaN or infinity in its first output")
    difference: Array = given - expected
    return difference


def _judge_absolute(output: Array, label: Label) -> Judged:
    return Judged(None, float(np.mean(np.abs(_errors(output, label)))))


def _judge_squared(output: Array, label: Label) -> Judged:
    return Judged(None, float(np.mean(np.square(_errors(output, label)))))


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", True, _judge_accuracy, _mean),
        Metric("top5", True, _judge_top5, _mean),
        Metric("mae", False, _judge_absolute, _mean),
        Metric("rmse", False, _judge_squared, _root_mean, is_mean=False),
    )
}
_ALIASES = {"top1": "accuracy"}
