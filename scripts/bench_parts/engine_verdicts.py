"""Verdicts of deploys without a hint, beside what a search by hand ended with and the peers' recipes, in one measurement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgekit.devices.inventory import probe_device
from edgekit.model import load_model
from edgekit.profiles import machine_profile
from edgekit.progress import Progress
from edgekit.search import timed_feed
from edgekit.types import Site

from . import contestants, measuring, tasks
from .contestants import PEERS, REFERENCE, Contestant, Peer
from .engine_lines import SINGLE_TARGETS
from .engine_records import Against, VerdictResult
from .records import TaskResult
from .task_list import Task


def _by_hand(name: str, target: str, recipe: str) -> Peer:
    return Peer(f"by hand: {name}", target, (recipe,), module="hand_recipes", maker="hand")


NO_WINNER_BELOW = 0.9  # of float's speed: no quality makes it matter here, and scoring what is slow takes longest
_MSE = _by_hand("onnxruntime MSE", "onnx", "onnxruntime_mse")
HAND: dict[str, tuple[Peer, ...]] = {
    "recogniser": (_MSE, _by_hand("NNCF mixed", "openvino", "nncf_mixed")),
    "detector": (
        _MSE,
        _by_hand("NNCF mixed, no outliers, 4 convolutions float", "openvino", "nncf_mixed_no_outliers"),
    ),
    "minilm": (
        _by_hand("onnxruntime dynamic int8 per channel", "onnx", "onnxruntime_dynamic_per_channel"),
        _by_hand("NNCF transformer", "openvino", "nncf_transformer"),
    ),
}


def run_task(task: Task, budget_s: float, scratch: Path, progress: Progress) -> VerdictResult:
    """Deploys to each target alone, makes the others' artifacts, and measures and scores all of them together.

    Raises:
        EdgekitError: the model itself cannot be read, run or scored.
    """
    model = load_model(task.model, shape=task.shape or None)
    facts = probe_device()
    site = Site(machine_profile(), facts)
    entered = {REFERENCE: contestants.reference(model, site)}
    deploys = []
    for target in SINGLE_TARGETS:
        progress.stage(f"-- {task.name}: deploying to {target}")
        bundle = scratch / f"bundle-{target}"
        deployed = tasks.deploy_to(target, task, bundle, budget_s, progress)
        deploys.append(deployed)
        if deployed.winner is not None:
            tasks.enter(entered, deployed, contestants.from_bundle(bundle, site))
    given, calibration = scratch / "given.onnx", scratch / "calibration.npz"
    contestants.write_at_shape(task.model, task.shape, given)
    contestants.write_calibration(task.calibration(), calibration)
    for peer in (*HAND.get(task.name, ()), *PEERS):
        progress.stage(f"-- {task.name}: {peer.name}")
        entered[peer.name] = contestants.build_peer(peer, model, given, calibration, site, scratch)
    progress.stage(f"-- {task.name}: all of them together")
    outputs = scratch / "float"
    outputs.mkdir()
    feed = timed_feed(next(iter(task.calibration())), model.inputs)
    measured = measuring.measure(
        tuple(entered.values()), task.evaluate, task.third, feed, outputs, progress, scored_above=NO_WINNER_BELOW
    )
    taken = tasks.taken(facts.cpu_features, budget_s)
    result = TaskResult(task.name, measured.metric, taken, tuple(deploys), measured.rows)
    return VerdictResult(result, tuple(against(result, entered, measured)))


def against(result: TaskResult, entered: dict[str, Contestant], measured: measuring.Measured) -> Iterator[Against]:
    """Each target's winner against every other artifact that runs on that target."""
    for target in SINGLE_TARGETS:
        winner = result.row_of(target)
        for name, each in entered.items():
            if winner is None or each.built is None or each.built.planned.target.name != target:
                continue
            ratio = measured.ratio(name, winner.name)
            if ratio is not None and name != winner.name:
                yield Against(target, winner.name, name, ratio)
