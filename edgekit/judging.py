"""Quality: each artifact beside float on held-out feeds, and on the evaluation data for the finalists.

Everything runs through the agent, so that a runtime that crashes ends a worker process and becomes that candidate's result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .contract import to_artifact, to_original
from .errors import DeviceRunError
from .fidelity import Comparison, OutputKind, output_kinds, prediction_agreement
from .gates import Gates, Judgement, judge
from .types import Agreement, Array, Feed, Feeds, RunFailure, Score

if TYPE_CHECKING:
    from .building import Built
    from .devices.session import AgentSession
    from .evaluation import Evaluation, Predict

KIND_FEEDS = 8  # feeds whose float outputs decide how each output's agreement is judged


def predictor(session: AgentSession, key: str, built: Built) -> Predict:
    """``predict(feed)`` under the original model's names, layouts and dtypes."""

    def predict(feed: Feed) -> dict[str, Array]:
        return to_original(session.infer(key, to_artifact(feed, built.artifact.io)), built.artifact.io)

    return predict


def open_worker(session: AgentSession, key: str, built: Built) -> RunFailure | None:
    """Sends the artifact's files and starts its worker; the failure when its runtime does not load it."""
    session.push(built.folder, built.artifact.files)
    opened = session.open(key, built.planned.target.name, built.runner, built.artifact.files)
    return opened if isinstance(opened, RunFailure) else None


@dataclass(frozen=True)
class FloatView:
    """What float says: its outputs on the held-out feeds, how each is compared, and its score."""

    feeds: Feeds
    synthetic: bool
    outputs: tuple[Mapping[str, Array], ...]
    kinds: dict[str, OutputKind]
    score: Score | None


def view_float(
    predict: Predict, feeds: Feeds, *, synthetic: bool, evaluation: Evaluation | None, guard: Callable[[Predict], Predict]
) -> FloatView:
    """Runs the reference over the held-out feeds and the evaluation data.

    ``guard`` wraps ``predict`` for the evaluation, so that a feed that calibration has seen is refused.
    """
    outputs = tuple(predict(feed) for feed in feeds)
    score = evaluation.score(guard(predict)) if evaluation is not None else None
    return FloatView(feeds, synthetic, outputs, output_kinds(outputs[:KIND_FEEDS]), score)


def compare(predict: Predict, view: FloatView) -> Comparison:
    """A candidate's outputs beside float's on the held-out feeds."""
    comparison = Comparison(view.kinds)
    for feed, reference in zip(view.feeds, view.outputs, strict=True):
        comparison.add(reference, predict(feed))
    return comparison


def judge_candidate(
    predict: Predict, view: FloatView, gates: Gates, evaluation: Evaluation | None, comparison: Comparison
) -> Judgement:
    """Scores a finalist and holds it against the gates."""
    return judge_scored(view, gates, evaluation.score(predict) if evaluation is not None else None, comparison)


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
