"""Quality: each artifact beside float on held-out feeds, and on the evaluation data for the finalists.

Everything runs through the agent, so that a runtime that crashes ends a worker process and becomes that candidate's result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .contract import to_artifact, to_original
from .errors import DataError, DeviceRunError, ModelError
from .evaluation import Guarded
from .feed_checks import checked_feed
from .fidelity import Comparison, OutputKind, output_kinds, prediction_agreement
from .gates import Gates, Judgement, judge
from .judge import Judge, start_worker
from .state import writing
from .types import Agreement, Array, Feed, Feeds, RunFailure, Score

if TYPE_CHECKING:
    from .building import Built
    from .devices.session import AgentSession
    from .evaluation import Evaluation, Predict

KIND_FEEDS = 8  # feeds whose float outputs decide how each output's agreement is judged


def predictor(session: AgentSession | Judge, key: str, built: Built) -> Predict:
    """``predict(feed)`` under the original model's names, layouts and dtypes.

    It raises DataError for a feed that is not one of this model, whoever made it.
    """
    io = built.artifact.io
    inputs = [tensor.original for tensor in io if tensor.role == "input"]

    def predict(feed: Feed) -> dict[str, Array]:
        return to_original(session.infer(key, to_artifact(checked_feed(feed, inputs, "a feed given to predict"), io)), io)

    return predict


def open_worker(session: AgentSession | Judge, key: str, built: Built) -> RunFailure | None:
    """Sends the artifact's files and starts its worker; the failure when its runtime does not load it."""
    return session.open_worker(key, built) if isinstance(session, Judge) else start_worker(session, key, built)


@dataclass(frozen=True)
class FloatView:
    """What float says: its outputs on the held-out feeds, how each is compared, and its score."""

    feeds: Feeds
    synthetic: bool
    outputs: StoredOutputs
    kinds: dict[str, OutputKind]
    score: Score | None
    evaluated: tuple[str, ...]  # the hashes of the feeds that were scored, sorted


def view_float(
    predict: Predict, feeds: Feeds, folder: Path, *, synthetic: bool, evaluation: Evaluation | None, seen: frozenset[str]
) -> FloatView:
    """Runs the reference over the held-out feeds and the evaluation data.

    Args:
        folder: a private scratch folder for the outputs; they may be larger than memory.
        seen: hashes of the feeds that calibration has seen; the evaluation is refused one of them.

    Raises:
        DataError: the model's own runtime refuses a feed.
        ModelError: an output of the model itself is nowhere a finite number.
    """
    predict = _or_whose_fault(predict, synthetic=synthetic)
    outputs = StoredOutputs(folder)
    for index, feed in enumerate(feeds):
        outputs.append(_require_numbers(predict(feed), index))
    score, evaluated = _score(predict, evaluation, seen)
    return FloatView(feeds, synthetic, outputs, output_kinds(list(islice(outputs, KIND_FEEDS))), score, evaluated)


def _or_whose_fault(predict: Predict, *, synthetic: bool) -> Predict:
    """Float refuses a feed: that is the feed's fault, or of the sizes that were chosen for free axes; not the device's."""

    def run(feed: Feed) -> dict[str, Array]:
        try:
            return predict(feed)
        except DeviceRunError as problem:
            failure = failure_of(problem)
            if failure.kind != "error":
                raise
            shapes = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in feed.items())
            hint = "look for values that are out of range, or a size that the model does not take"
            if synthetic:
                hint = "free axes got a size of edgekit's choosing: fix them with --shape, or give samples with --calib"
            raise DataError(f"the model does not run on an input of {shapes}", why=failure.message, hint=hint) from problem

    return run


def _require_numbers(outputs: dict[str, Array], index: int) -> dict[str, Array]:
    for name, array in outputs.items():
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
            raise ModelError(
                f"output {name!r} of the model itself has no finite number",
                why=f"float gives only NaN or infinity on held-out feed {index}",
                hint="check the model and the preprocessing of the data before anything is made of it",
            )
    return outputs


class StoredOutputs:
    """Outputs by feed, in files of a private scratch folder. Iterating reads them back in order, as often as wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[tuple[str, ...]] = []

    def append(self, outputs: Mapping[str, Array]) -> None:
        with writing(self._folder):
            np.savez(self._path(len(self._names)), *outputs.values())
        self._names.append(tuple(outputs))

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for index, names in enumerate(self._names):
            with np.load(self._path(index), allow_pickle=False) as stored:
                yield {name: stored[f"arr_{position}"] for position, name in enumerate(names)}

    def _path(self, index: int) -> Path:
        return self._folder / f"{index}.npz"


def _score(predict: Predict, evaluation: Evaluation | None, seen: frozenset[str]) -> tuple[Score | None, tuple[str, ...]]:
    """The score, and the sorted hashes of the feeds that it was taken on."""
    if evaluation is None:
        return None, ()
    watched = Guarded(predict, seen)
    return evaluation.score(watched), tuple(sorted(watched.hashes))


def compare(predict: Predict, view: FloatView) -> Comparison:
    """A candidate's outputs beside float's on the held-out feeds."""
    comparison = Comparison(view.kinds)
    for feed, reference in zip(view.feeds, view.outputs, strict=True):
        comparison.add(reference, predict(feed))
    return comparison


def judge_candidate(
    predict: Predict, view: FloatView, gates: Gates, evaluation: Evaluation | None, seen: frozenset[str], comparison: Comparison
) -> Judgement:
    """Scores a finalist and holds it against the gates.

    Raises:
        DataError: the evaluation failed on it, or scored it on other feeds than float.
    """
    score, evaluated = _score(predict, evaluation, seen)
    if evaluated != view.evaluated:
        raise DataError(
            "the evaluation gave it other samples than float",
            why=f"{len(evaluated)} feeds against {len(view.evaluated)}, or other content",
            hint="an evaluation must use the same samples each time it is called: seed what is random in it",
        )
    return judge_scored(view, gates, score, comparison)


def judge_scored(view: FloatView, gates: Gates, score: Score | None, comparison: Comparison) -> Judgement:
    """Holds a candidate whose score is known against the gates."""
    return judge(gates, comparison, gated_agreement(view, score, comparison), view.score if score else None, score)


def gated_agreement(view: FloatView, score: Score | None, comparison: Comparison) -> Agreement | None:
    """Of predictions where the evaluation returns them; otherwise of the outputs on held-out (or synthetic) feeds."""
    if score is not None and view.score is not None and score.predictions is not None and view.score.predictions is not None:
        return prediction_agreement(view.score.predictions, score.predictions)
    return comparison.agreement(synthetic=view.synthetic)


def failure_of(error: DeviceRunError) -> RunFailure:
    """The candidate's result that a failed run stands for."""
    attached = getattr(error, "failure", None)
    return attached if isinstance(attached, RunFailure) else RunFailure("error", str(error))
