"""One measurement and one scoring of all contestants, through edgekit's own agent: the same loop for everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from edgekit.building import Built
from edgekit.contract import to_artifact
from edgekit.devices.plan import BenchPlan
from edgekit.devices.session import AgentSession
from edgekit.devices.transport import local_transport
from edgekit.errors import DataError, DeviceRunError, ModelError
from edgekit.evaluation import FunctionEvaluation, Predict
from edgekit.feed_checks import hash_feed
from edgekit.fidelity import Comparison, OutputKind, output_kinds, prediction_agreement
from edgekit.judging import KIND_FEEDS, StoredOutputs, open_worker, predictor
from edgekit.measure.statistics import speedup, summarize
from edgekit.measure.trust import trust
from edgekit.progress import Progress
from edgekit.types import Agreement, Array, Feed, Measurement, Ratio, RunFailure, Score

from . import holding
from .contestants import REFERENCE, Contestant
from .records import Quality, Row

PLAN = BenchPlan(rounds=30)
LEASE_S = 600.0
EvaluationFunction = Callable[..., Any]


@dataclass(frozen=True)
class Measured:
    """The rows of a task, and the speed of one artifact against another's from the same rounds."""

    metric: str
    rows: tuple[Row, ...]
    results: dict[str, Measurement | RunFailure]

    def ratio(self, slower: str, faster: str) -> Ratio | None:
        """How much faster the second is; None where one was not measured."""
        one, other = self.results.get(slower), self.results.get(faster)
        if not isinstance(one, Measurement) or not isinstance(other, Measurement):
            return None
        return speedup(one.rounds, other.rounds)


def measure(
    contestants: Sequence[Contestant],
    evaluate: EvaluationFunction,
    third: EvaluationFunction,
    feed: Feed,
    scratch: Path,
    progress: Progress,
    *,
    scored_above: float = 0.0,
) -> Measured:
    """Times all that load in interleaved rounds on one thread, then scores each on both sets.

    Args:
        contestants: the reference among them, under :data:`REFERENCE`.
        scratch: an empty folder for float's outputs.
        scored_above: what is slower than this part of the reference's speed is not scored, where only fast ones matter.

    Raises:
        DeviceRunError, DataError, ModelError: the reference itself cannot be run or scored.
    """
    built = {each.name: each.built for each in contestants if each.built is not None}
    failures = {each.name: each.fails for each in contestants if each.fails}
    runners = {item.planned.target.name: item.runner for item in built.values()}
    with AgentSession(local_transport(), runners) as session, session.lease(wait_s=LEASE_S, on_wait=progress.note):
        progress.stage("  loading the artifacts")
        for name, item in built.items():
            failed = open_worker(session, name, item)
            if failed is not None:
                failures[name] = f"does not load ({failed.kind}): {failed.message}"
        loaded = [name for name in built if name not in failures]
        progress.stage(f"  measuring {len(loaded)} artifacts, interleaved")
        feeds = {name: to_artifact(feed, built[name].artifact.io) for name in loaded}
        results = session.bench(loaded, feeds, PLAN, progress.advance)
        failures |= {
            name: f"fails while it is measured ({result.kind}): {result.message}"
            for name, result in results.items()
            if isinstance(result, RunFailure)
        }
        failures |= {name: f"not scored: {ratio:.2f}x" for name, ratio in _ratios(results).items() if ratio < scored_above}
        scorer = Scorer(session, built[REFERENCE], {"evaluation": evaluate, "third": third}, scratch, progress)
        rows = []
        for each in contestants:
            quality: dict[str, Quality] = {}
            if each.name not in failures:
                progress.stage(f"  judging {each.name}")
                try:
                    quality = scorer.qualities(each.name, built[each.name])
                except (DeviceRunError, DataError, ModelError) as problem:
                    if each.name == REFERENCE:
                        raise
                    failures[each.name] = f"cannot be scored: {problem}"
            rows.append(_row(each, results, quality, failures.get(each.name, "")))
    return Measured(scorer.metric, tuple(rows), results)


def _ratios(results: Mapping[str, Measurement | RunFailure]) -> dict[str, float]:
    """The speed of each that was measured against the reference's."""
    reference = results[REFERENCE]
    if not isinstance(reference, Measurement):
        return {}
    return {name: speedup(reference.rounds, each.rounds).value for name, each in results.items() if isinstance(each, Measurement)}


class Scorer:
    """Scores artifacts on the two labelled sets, beside float on the same feeds.

    Where a task returns no predictions, agreement is judged on the outputs of the same feeds, as edgekit does on held-out ones.
    """

    def __init__(
        self, session: AgentSession, reference: Built, sets: dict[str, EvaluationFunction], scratch: Path, progress: Progress
    ) -> None:
        self._session = session
        inputs = [tensor.original.name for tensor in reference.artifact.io if tensor.role == "input"]
        self._evaluations = {name: FunctionEvaluation(function, inputs) for name, function in sets.items()}
        progress.stage(f"  scoring {REFERENCE}")
        predict = predictor(session, REFERENCE, reference)
        self._float = {name: evaluation.score(predict) for name, evaluation in self._evaluations.items()}
        self._outputs: dict[str, FloatOutputs] = {}
        for name, score in self._float.items():
            if score.predictions is None:
                folder = scratch / name
                folder.mkdir()
                self._outputs[name] = FloatOutputs(self._evaluations[name], predict, folder)
        self.metric = self._float["evaluation"].name

    def qualities(self, name: str, item: Built) -> dict[str, Quality]:
        """The artifact's quality by set.

        Raises:
            DeviceRunError: it fails on a feed.
            DataError, ModelError: its outputs cannot be scored.
        """
        if name == REFERENCE:
            return {key: self._judge(key, score, Comparison(self._kinds(key)), itself=True) for key, score in self._float.items()}
        found = {}
        for key, evaluation in self._evaluations.items():
            comparison = Comparison(self._kinds(key))
            predict = predictor(self._session, name, item)
            outputs = self._outputs.get(key)
            score = evaluation.score(outputs.comparing(predict, comparison) if outputs else predict)
            found[key] = self._judge(key, score, comparison)
        return found

    def _kinds(self, key: str) -> dict[str, OutputKind]:
        return self._outputs[key].kinds if key in self._outputs else {}

    def _judge(self, key: str, score: Score, comparison: Comparison, *, itself: bool = False) -> Quality:
        reference = self._float[key]
        if reference.predictions is not None and score.predictions is not None:
            agreement = prediction_agreement(reference.predictions, score.predictions)
        elif itself:
            kind = next(iter(self._kinds(key).values())).kind
            agreement = Agreement(1.0, kind, len(self._outputs[key].stored))
        else:
            agreement = comparison.agreement() or Agreement(0.0, "cosine", 0)
        judged = holding.on_evaluation if key == "evaluation" else holding.on_third
        return judged(reference, score, agreement, comparison)


class FloatOutputs:
    """Float's outputs on the feeds of a set, in files of a scratch folder."""

    def __init__(self, evaluation: FunctionEvaluation, predict: Predict, folder: Path) -> None:
        self.stored = StoredOutputs(folder)
        self._hashes: list[str] = []

        def recording(feed: Feed) -> dict[str, Array]:
            outputs = predict(feed)
            self.stored.append(outputs)
            self._hashes.append(hash_feed(feed))
            return outputs

        evaluation.score(recording)
        self.kinds = output_kinds(list(islice(self.stored, KIND_FEEDS)))

    def comparing(self, predict: Predict, comparison: Comparison) -> Predict:
        """``predict`` that adds its outputs to ``comparison``; feeds come in the order in which float had them.

        Raises:
            DataError: another feed than float's, for example one that depends on what was predicted before.
        """
        expected = zip(self._hashes, self.stored, strict=True)

        def run(feed: Feed) -> dict[str, Array]:
            outputs = predict(feed)
            hashed, reference = next(expected, ("", {}))
            if hashed != hash_feed(feed):
                raise DataError("the evaluation gave it another feed than float", hint="let it return predictions")
            comparison.add(reference, outputs)
            return outputs

        return run


def _row(each: Contestant, results: dict[str, Measurement | RunFailure], quality: dict[str, Quality], fails: str) -> Row:
    result, reference = results.get(each.name), results.get(REFERENCE)
    row = Row(
        name=each.name,
        maker=each.maker,
        detail=each.detail,
        targets=each.targets,
        fails=fails,
        evaluation=quality.get("evaluation"),
        third=quality.get("third"),
    )
    if not isinstance(result, Measurement) or not isinstance(reference, Measurement):
        return row
    return replace(
        row,
        speedup=speedup(reference.rounds, result.rounds),
        p50_s=summarize(result.rounds).p50,
        trust=trust(result).verdict,
    )
