"""Closeness to float at the same precision and coverage: edgekit's ranges and emitter beside onnxruntime's three range methods."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from edgekit.building import build
from edgekit.data import open_calibration
from edgekit.devices.inventory import probe_device
from edgekit.errors import EdgekitError, ModelError
from edgekit.fidelity import Comparison, output_kinds
from edgekit.frontends import onnx_frontend
from edgekit.frontends.graph import node_id
from edgekit.model import Model, load_model
from edgekit.plan import Planned, plan_one
from edgekit.profiles import machine_profile
from edgekit.progress import Progress
from edgekit.quantize.types import RangeMethod
from edgekit.refinement import KEPT_ABOVE_DB
from edgekit.schemes import Int8Static
from edgekit.simulation import closest
from edgekit.targets import Refining, Sparing, get_target
from edgekit.types import Array, BuildData, Candidate, Feed, Site

from .contestants import run_recipe, write_calibration
from .engine_quality_run import NODES, RECIPES
from .engine_records import QualityResult, QualityRow, Stamp
from .task_list import Task

CALIBRATION_FEEDS = 32  # the tool's histogram methods keep every activation of every feed
UNSEEN_FEEDS = 48


class _EnoughError(Exception):
    """So many feeds of the third set are known."""


def run_task(task: Task, stamp: Stamp, scratch: Path, progress: Progress) -> QualityResult:
    """Builds ours and the peers' and compares each with float on feeds that none of them has seen.

    Raises:
        EdgekitError: the model itself cannot be read or run.
    """
    model = load_model(task.model, shape=task.shape or None)
    site = Site(machine_profile(), probe_device())
    plain = Planned(get_target("onnx"), site, Candidate("onnx", Int8Static()))
    refused = plain.target.reject(model, plain.candidate, site)
    if refused is not None:
        return QualityResult(task.name, stamp, fails=str(refused))
    sparable = plain.target.sparable(model, plain.candidate, site) if isinstance(plain.target, Sparing) else None
    items = [item for item in sparable.items if not item.dynamic] if sparable else []
    if not items:
        return QualityResult(task.name, stamp, fails="nothing in it is quantized")
    assert sparable is not None, "it has items"
    given = scratch / "given.onnx"
    _write_named(model, given)
    judge = Judge(given, task)
    data = open_calibration(task.calibration, model.inputs, samples=CALIBRATION_FEEDS).build
    progress.stage(f"-- quality: {task.name}: edgekit")
    ours = _ours(model, plain, sparable.range_methods, data, judge, progress)
    nodes = [name for item in items for name in (item.node, item.operator.absorbed) if name]
    asked = {"nodes": nodes, "seven_bits": sparable.placement.weight_bits == 7}
    given.with_name(NODES).write_text(json.dumps(asked), encoding="utf-8")
    write_calibration(data.fit, scratch / "calibration.npz")
    peers = []
    for recipe in RECIPES:
        progress.stage(f"-- quality: {task.name}: {recipe}")
        peers.append(_peer(recipe, given, scratch, judge))
    return QualityResult(
        task.name,
        stamp,
        operators=len(items),
        calibration_feeds=len(data.fit),
        unseen_feeds=len(judge.unseen),
        ours=ours,
        peers=tuple(peers),
    )


def _ours(
    model: Model, plain: Planned, methods: Sequence[RangeMethod], data: BuildData, judge: Judge, progress: Progress
) -> QualityRow:
    """As the search does it: the range method by its closeness to float on held-out feeds and those that the ranges come from, then
    what refines it on held-out ones.
    """
    held_out = list(data.held_out)
    both = [*held_out, *islice(data.fit, len(held_out))]

    def made(candidate: Candidate) -> tuple[float, Path]:
        built = build(model, plan_one(plain, model, candidate), data, threads=1)
        path = built.folder / built.artifact.entry
        closeness_db = judge.compare(path, held_out).closeness_db
        progress.note(f"{candidate.scheme} {candidate.build_options}: {closeness_db:.2f} dB held out")
        return closeness_db, path

    by_method = {method: made(replace(plain.candidate, scheme=Int8Static(method))) for method in methods or ("minmax",)}
    compared = {method: judge.compare(path, both) for method, (_, path) in by_method.items()}
    progress.note(f"mean of each feed's SQNR: { {method: found.usual_db for method, found in compared.items()} }")
    method = closest({method: found.feeds_db for method, found in compared.items()})
    best, options = by_method[method], plain.candidate.build_options
    chosen = replace(plain.candidate, scheme=Int8Static(method))
    for change in plain.target.refinements(model, chosen, plain.site) if isinstance(plain.target, Refining) else ():
        try:
            changed = made(replace(chosen, build_options={**chosen.build_options, **change}))
        except EdgekitError as problem:
            progress.note(f"{change}: {problem}")
            continue
        if changed[0] > best[0] + KEPT_ABOVE_DB:
            best, options = changed, {**options, **change}
    detail = ", ".join([method, *(str(value) for value in options.values())])
    return _row("edgekit", judge.compare(best[1], judge.unseen), detail=detail)


def _peer(recipe: str, given: Path, scratch: Path, judge: Judge) -> QualityRow:
    name = recipe.replace("_", " ")
    out = scratch / recipe
    out.mkdir()
    made = run_recipe("engine_quality_run", recipe, given, scratch / "calibration.npz", out)
    if "fails" in made:
        return QualityRow(name, fails=made["fails"])
    try:
        return _row(name, judge.compare(out / made["entry"], judge.unseen))
    except ModelError as problem:
        return QualityRow(name, fails=str(problem)[:240])


def _row(name: str, comparison: Comparison, detail: str = "") -> QualityRow:
    agreement = comparison.agreement()
    if comparison.sqnr_db is None:
        return QualityRow(name, detail=detail, fails="its outputs are exactly float's, or broken")
    return QualityRow(name, comparison.sqnr_db, agreement.value if agreement else None, detail)


def _write_named(model: Model, path: Path) -> None:
    """The normalised ONNX with every node named by its NodeId, which is what the plan calls it."""
    proto = onnx_frontend.read_raised(model)
    for node in proto.graph.node:
        node.name = node_id(node)
    onnx_frontend.save(proto, path)


class Judge:
    """Float, the feeds of the third set that begin it, and comparisons with both."""

    def __init__(self, given: Path, task: Task) -> None:
        self._float = _session(given)
        self._names = [value.name for value in self._float.get_outputs()]
        self.unseen = self._unseen(task)
        self._kinds = output_kinds([self._run(self._float, feed) for feed in islice(self.unseen, 8)])

    def _unseen(self, task: Task) -> list[Feed]:
        """Taken from the evaluation itself: a feed may depend on what was answered before (a state does)."""
        found: list[Feed] = []

        def predict(asked: Any) -> Any:
            if isinstance(asked, (list, tuple)):
                return [predict(feed) for feed in asked]
            if len(found) == UNSEEN_FEEDS:
                raise _EnoughError
            found.append(dict(asked))
            return self._run(self._float, asked)

        with contextlib.suppress(_EnoughError):
            task.third(predict)
        return found

    def compare(self, path: Path, feeds: Sequence[Feed]) -> Comparison:
        """The artifact beside float.

        Raises:
            ModelError: it does not load or run.
        """
        comparison = Comparison(self._kinds)
        try:
            session = _session(path)
            for feed in feeds:
                comparison.add(self._run(self._float, feed), self._run(session, feed))
        except (MemoryError, OSError):
            raise
        except Exception as problem:  # the runtime raises a dozen classes of its own
            raise ModelError("the artifact does not run", why=f"{type(problem).__name__}: {problem}") from problem
        return comparison

    def _run(self, session: Any, feed: Feed) -> dict[str, Array]:
        given = {value.name for value in session.get_inputs()}
        fed = {name: array for name, array in feed.items() if name in given}
        return dict(zip(self._names, session.run(self._names, fed), strict=True))


def _session(path: Path) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
