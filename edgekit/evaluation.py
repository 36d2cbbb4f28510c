"""Scoring predictions: labelled data with a built-in metric, or a function of the user's own; never on what was calibrated with.

A function gets ``predict``: given one feed it returns ``{output name: array}``, given an iterable of feeds the list of those, under
the original model's names and dtypes. What it returns is described in :mod:`edgekit.score_result`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from .coderef import explain, is_reference, line_of
from .errors import DataError, EdgekitError, ModelError, UsageError
from .feed_checks import hash_feed, sample_hashes
from .feed_source import Source
from .labels import Labels, check_count, read_labels
from .metrics import METRICS, Judged, Metric, find_metric
from .score_result import score_from_result
from .sources import open_source
from .types import Feed, Score, SliceValue

if TYPE_CHECKING:
    from .preprocess import Preprocess
    from .types import JSON, Array, TensorSpec

Predict = Callable[[Feed], "dict[str, Array]"]


class Evaluation(Protocol):
    """Something that gives predictions a score."""

    name: str

    def score(self, predict: Predict) -> Score:
        """Run ``predict`` over all evaluation feeds, one at a time.

        Raises:
            DataError: the data, the labels or what a function returned are not right, or overlap with calibration is found.
            ModelError: the outputs are not finite.
        """
        ...

    def manifest(self) -> dict[str, JSON]:
        """Counts and one digest of the feeds' hashes (None before a function's first score); never a path, a sample or a label."""
        ...


def open_evaluation(
    source: Path | str | Callable[..., Any],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    metric: str | None,
    preprocess: Preprocess | Path | None = None,
) -> Evaluation:
    """Labelled data with ``metric``, all of it read and checked once; or the user's function, which is only kept.

    Args:
        source: a ``.npz`` with a member ``labels`` (and ``slices``), a folder with ``labels.csv`` or ``labels.npy``, or a function.
        inputs: the model's inputs.
        outputs: the model's outputs; built-in metrics look at the first.
        metric: accuracy (top1), top5, mae or rmse; None for a function.
        preprocess: for pictures, instead of the folder's ``preprocess.toml``.

    Raises:
        UnknownNameError: no such metric.
        UsageError: labelled data without a metric, a function with one, or a code reference that was not resolved.
        DataError: the data or labels are broken or do not fit the model, or the function does not take ``predict``.
    """
    if callable(source):
        if metric is not None:
            raise UsageError(
                "a metric was given beside a function", why="the function computes its own", hint="leave the metric out"
            )
        return FunctionEvaluation(source, [spec.name for spec in inputs])
    if isinstance(source, str) and is_reference(source):
        raise UsageError(f"{source!r} is code", hint="pass edgekit.coderef.load_function(...) of it if it may run")
    if not isinstance(source, (str, Path)):
        raise UsageError(f"a {type(source).__name__} is no evaluation", hint="pass a path to labelled data, or a function(predict)")
    if metric is None:
        raise UsageError("labelled data need a metric", hint=f"--metric {', '.join(METRICS)}; or --eval file.py:function")
    return LabelledEvaluation(open_source(source, inputs, preprocess=preprocess), outputs[0].name, find_metric(metric))


class LabelledEvaluation:
    """Feeds with labels and one of the built-in metrics.

    Attributes:
        hashes: sha256 of each feed, in order.
        sample_hashes: those of the samples of feeds that are batches.
    """

    def __init__(self, source: Source, output_name: str, metric: Metric) -> None:
        self.name = metric.name
        self._source = source
        self._output_name = output_name
        self._metric = metric
        self._labels: Labels = read_labels(source)
        hashes: list[str] = []
        of_samples: set[str] = set()
        for _, feed in source.feeds():
            hashes.append(hash_feed(feed))
            of_samples |= sample_hashes(feed)
        if not hashes:
            raise DataError("the evaluation data are empty")
        check_count(self._labels, len(hashes))
        self.hashes = tuple(hashes)
        self.sample_hashes = frozenset(of_samples)

    def score(self, predict: Predict) -> Score:
        if isinstance(predict, Guarded):
            refuse_overlap(self, predict.seen)
        judged: list[Judged] = []
        for index, feed in self._source.feeds():
            output = predict(feed)[self._output_name]
            try:
                judged.append(self._metric.judge(output, self._labels.values[index]))
            except (DataError, ModelError) as problem:
                raise type(problem)(f"{problem.what}, {self._source.where(index)}", why=problem.why, hint=problem.hint) from problem
        values = [sample.value for sample in judged]
        predictions = tuple(sample.prediction for sample in judged)
        return Score(
            name=self.name,
            value=self._metric.combine(values),
            higher_is_better=self._metric.higher_is_better,
            n=len(values),
            slices=self._slices(values),
            predictions=None if None in predictions else predictions,
            per_sample=tuple(values) if self._metric.is_mean else None,
        )

    def _slices(self, values: Sequence[float]) -> dict[str, SliceValue]:
        members: dict[str, list[float]] = defaultdict(list)
        for name, value in zip(self._labels.slices, values, strict=True):
            if name:
                members[name].append(value)
        return {name: SliceValue(self._metric.combine(of_slice), len(of_slice)) for name, of_slice in sorted(members.items())}

    def manifest(self) -> dict[str, JSON]:
        return self._source.describe() | {"metric": self.name, "n": len(self.hashes), "feeds_sha256": _digest(self.hashes)}


class FunctionEvaluation:
    """A function of the user's own, ``function(predict) -> dict``."""

    def __init__(self, function: Callable[..., Any], input_names: Sequence[str]) -> None:
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self._function = function
        self._wanted = f"give predict one feed, {{{', '.join(f'{name!r}: array' for name in input_names)}}}, or a list of feeds"
        _require_one_parameter(function, self.name, self._wanted)
        self._manifest: dict[str, JSON] = {"kind": "function", "metric": None, "n": None, "feeds_sha256": None}

    def score(self, predict: Predict) -> Score:
        recorder = predict if isinstance(predict, Guarded) else Guarded(predict, frozenset())
        before = len(recorder.hashes)
        try:
            result = self._function(lambda feeds: recorder(self._feeds(feeds)))
        except DataError as problem:  # what predict says of a feed: the line that called it belongs to that
            why = f"{problem.why}, at {line_of(problem, self._function)}".removeprefix(", ")
            raise DataError(problem.what, why=why, hint=problem.hint) from problem
        except EdgekitError:
            raise
        except (Exception, SystemExit) as problem:
            raise DataError(f"{self.name}(predict) raised an error", why=explain(problem, self._function)) from problem
        score = score_from_result(result, f"{self.name}(predict)")
        hashes = recorder.hashes[before:]
        self._manifest = {"kind": "function", "metric": score.name, "n": len(hashes), "feeds_sha256": _digest(hashes)}
        return score

    def _feeds(self, feeds: Any) -> Any:
        """What was given to predict, if it is a feed or several of them."""
        if isinstance(feeds, Mapping):
            return feeds
        if isinstance(feeds, (np.ndarray, str)) or not isinstance(feeds, Iterable):
            raise DataError(f"predict was given a {type(feeds).__name__}", hint=self._wanted)
        return self._each(feeds)

    def _each(self, feeds: Iterable[Any]) -> Iterator[Feed]:
        for feed in feeds:
            if not isinstance(feed, Mapping):
                raise DataError(f"predict was given several feeds, one of which is a {type(feed).__name__}", hint=self._wanted)
            yield feed

    def manifest(self) -> dict[str, JSON]:
        return dict(self._manifest)


def _require_one_parameter(function: Callable[..., Any], name: str, wanted: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # one written in C does not say; calling it will
    try:
        signature.bind(None)
    except TypeError as problem:
        where = line_of(problem, function)
        raise DataError(
            f"{name} cannot be called with predict alone",
            why=f"it is {name}{signature}" + (f", at {where}" if where else ""),
            hint=f"write def {name}(predict), and in it {wanted}",
        ) from problem


def _digest(hashes: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


# ---------------------------------------------------------------- overlap with calibration
class Guarded:
    """``predict`` that hashes what it is given and refuses (DataError) a feed, or a sample of a batch, that was calibrated with.

    Attributes:
        seen: the hashes that are refused.
        hashes: those of the feeds so far, in order, without inputs that are an earlier output: a state that is fed back
            differs from candidate to candidate, and says nothing of which samples were taken.
    """

    def __init__(self, predict: Predict, seen: frozenset[str]) -> None:
        self._predict = predict
        self.seen = seen
        self.hashes: list[str] = []
        self._returned: set[str] = set()  # outputs that could be fed back

    @overload
    def __call__(self, feeds: Feed) -> dict[str, Array]: ...

    @overload
    def __call__(self, feeds: Iterable[Feed]) -> list[dict[str, Array]]: ...

    def __call__(self, feeds: Feed | Iterable[Feed]) -> dict[str, Array] | list[dict[str, Array]]:
        if isinstance(feeds, Mapping):
            return self._one(feeds)
        return [self._one(feed) for feed in feeds]

    def _one(self, feed: Feed) -> dict[str, Array]:
        for name, array in feed.items():
            if not isinstance(array, np.ndarray):
                raise DataError(
                    f"predict was given a {type(array).__name__} for {name!r}", hint="give numpy arrays: numpy.asarray(x)"
                )
        outputs = self._predict(feed)  # first, because it refuses what is no feed of the model, which may have no hash either
        self.hashes.append(hash_feed({name: array for name, array in feed.items() if not self._is_fed_back(array)}))
        if self.seen and not self.seen.isdisjoint({hash_feed(feed)} | sample_hashes(feed)):
            raise _overlap(1, f"at least 1 feed, the first of them number {len(self.hashes)}")
        forms = {(array.dtype, array.shape) for array in feed.values()}
        self._returned |= {hash_feed({"": array}) for array in outputs.values() if (array.dtype, array.shape) in forms}
        return outputs

    def _is_fed_back(self, array: Array) -> bool:
        return bool(self._returned) and hash_feed({"": array}) in self._returned


def refuse_overlap(evaluation: Evaluation, seen: frozenset[str]) -> None:
    """Finds overlap before anything is run, where the evaluation's feeds are known (labelled data).

    Raises:
        DataError: says how many feeds are in both.
    """
    if not isinstance(evaluation, LabelledEvaluation):
        return
    count = sum(value in seen for value in evaluation.hashes)
    if count or not seen.isdisjoint(evaluation.sample_hashes):
        raise _overlap(count, f"{count} of {len(evaluation.hashes)} feeds" if count else "samples of its batches")


def _overlap(count: int, shown: str) -> DataError:
    return DataError(
        "the evaluation data overlap with the calibration data",
        why=f"{shown} {'is' if count == 1 else 'are'} in both; a score on them would flatter the candidates",
        hint="keep them apart: calibrate with other samples",
    )
