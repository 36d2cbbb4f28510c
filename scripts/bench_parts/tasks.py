"""Every task on every target, beside the peers' default recipes in one measurement; written to docs/results.md."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from edgekit import deploy
from edgekit.building import Built
from edgekit.devices.inventory import probe_device
from edgekit.errors import BudgetError, DataError, DependencyError, DeviceRunError, EdgekitError, ModelError, UsageError
from edgekit.model import Model, load_model
from edgekit.profiles import machine_profile
from edgekit.progress import Progress
from edgekit.report.progress import PlainProgress, stderr_console
from edgekit.request_parsing import parse_duration
from edgekit.search import timed_feed
from edgekit.state import cache_dir
from edgekit.types import DeployReport, Site

from . import contestants, lines, measuring, records, results, stored, tables, task_list
from .contestants import REFERENCE, Contestant
from .records import AUTO, TARGETS, Deployed, Taken, TaskResult
from .task_list import Task

PACKAGES = ("edgekit-sdk", "onnxruntime", "openvino", "nncf", "ai-edge-litert", "ai-edge-quantizer", "litert-quantizer")
FEATURES = ("avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
TITLE = "Tasks"
NAMES = (*task_list.NAMES, *task_list.FROM_PYTORCH)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(NAMES), help="tasks, separated by commas (all of them unless said)")
    parser.add_argument("--budget", default="300", help="the --budget of each deploy (300 s unless said)")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers' recipes out")
    parser.add_argument("--output", default=str(results.DOCUMENT), help="document to write; - prints to stdout and keeps nothing")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 when something that was promised of a task of this run does not hold, 130 after Ctrl-C."""
    progress = PlainProgress(stderr_console())
    try:
        names, budget_s = _chosen(arguments.only), parse_duration(arguments.budget)
        output = None if arguments.output == "-" else Path(arguments.output)
        document = records.read(records.data_path(output)) if output else records.Document()
        left_out = False
        for name in names:
            progress.stage(f"== {name}")
            try:
                task = task_list.load(name)
                with private_home() as scratch:
                    result = run_task(task, budget_s, scratch, progress, peers=not arguments.no_peers)
            except (DataError, DependencyError, ModelError, DeviceRunError) as problem:
                progress.note(f"{name} is left out: {problem}")
                left_out = True
                continue
            document = records.merged(document, result, NAMES)
            if output:  # after every task: a long run that is ended keeps what it has found
                stored.write(records.data_path(output), document)
                results.replace(TITLE, tables.document(document), output)
    except EdgekitError as problem:
        print(f"tasks: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("tasks: interrupted", file=sys.stderr)
        return 130
    if output is None:
        print("\n".join(tables.document(document)))
    found = [line for line in lines.of_document(document) if line.task in names]
    for line in found:
        print(f"{line.verdict}: {line.task}: {line.promise}: {line.numbers}", file=sys.stderr)
    return 1 if left_out or any(line.verdict == lines.MISSED for line in found) else 0


def _chosen(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise UsageError(f"unknown task {', '.join(unknown) or text!r}", hint=f"known: {', '.join(NAMES)}")
    return [name for name in NAMES if name in names]


@contextlib.contextmanager
def private_home() -> Iterator[Path]:
    """A scratch folder that holds edgekit's caches meanwhile, so that what is built is built in this run; gone at the end.

    Toolchains stay where they are: they are the same in every run, and take minutes.
    """
    toolchains = os.environ.get("EDGEKIT_TOOLCHAINS") or str(cache_dir() / "toolchains")
    with tempfile.TemporaryDirectory(prefix="edgekit-bench-") as folder:
        names = {"EDGEKIT_HOME": f"{folder}/home", "EDGEKIT_GUEST_HOME": f"{folder}/guest", "EDGEKIT_TOOLCHAINS": toolchains}
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def run_task(task: Task, budget_s: float, scratch: Path, progress: Progress, *, peers: bool) -> TaskResult:
    """Deploys to each target and to all, builds the peers' artifacts, and measures and scores them together.

    Raises:
        EdgekitError: the model itself cannot be read, run or scored.
    """
    model = load_model(task.model, shape=task.shape or None)
    facts = probe_device()
    site = Site(machine_profile(), facts)
    progress.stage(f"-- {task.name}: the original in float")
    entered = {REFERENCE: contestants.reference(model, site)}
    deploys = []
    for target in (*TARGETS, AUTO):
        progress.stage(f"-- {task.name}: deploying to {target}")
        bundle = scratch / f"bundle-{target}"
        deployed = deploy_to(target, task, bundle, budget_s, progress)
        deploys.append(deployed)
        if deployed.winner is not None:
            enter(entered, deployed, contestants.from_bundle(bundle, site))
    if peers:
        for made in build_peers(task, model, site, scratch, progress):
            entered[made.name] = made
    progress.stage(f"-- {task.name}: all of them together")
    float_outputs = scratch / "float"
    float_outputs.mkdir()
    feed = timed_feed(next(iter(task.calibration())), model.inputs)
    measured = measuring.measure(tuple(entered.values()), task.evaluate, task.third, feed, float_outputs, progress)
    result = TaskResult(task.name, measured.metric, taken(facts.cpu_features, budget_s), tuple(deploys), measured.rows)
    return _with_auto(result, measured)


def deploy_to(target: str, task: Task, bundle: Path, budget_s: float, progress: Progress) -> Deployed:
    """One deploy as a user would run it; what it refuses with is its result."""
    started = time.monotonic()
    try:
        report = deploy(
            task.model,
            output=bundle,
            target=target,
            calib=task.calibration,
            eval=task.evaluate,
            shape=task.shape or None,
            budget_s=budget_s,
            progress=progress,
        )
    except (BudgetError, DependencyError, ModelError, DeviceRunError) as problem:
        return Deployed(target, time.monotonic() - started, fails=str(problem))
    return _deployed(target, report, time.monotonic() - started)


def _deployed(target: str, report: DeployReport, wall_s: float) -> Deployed:
    assert report.winner is not None
    row = next(row for row in report.candidates if row.id == report.winner.id)
    return Deployed(
        target=target,
        wall_s=wall_s,
        winner=row.id,
        reason=report.reason,
        scheme=row.scheme,
        build_options=row.candidate.build_options,
        run_options=row.candidate.run_options,
        speedup=row.speedup_vs_reference,
        own_float=row.speedup_vs_own_float,
        metric=row.fidelity.metric if row.fidelity else None,
        agreement=row.agreement.value if row.agreement else None,
    )


def enter(entered: dict[str, Contestant], deployed: Deployed, built: Built) -> None:
    """Adds a winner; what several deploys chose is measured once, and float where they kept that."""
    options = {**deployed.build_options, **deployed.run_options}
    detail = ", ".join(f"{key}={value}" for key, value in options.items())
    new = Contestant(f"edgekit {deployed.winner}", "edgekit", built, detail=detail)
    same = next((each for each in entered.values() if each.built is not None and _is_same(each.built, built)), new)
    entered[same.name] = replace(same, targets=(*same.targets, deployed.target))


def _is_same(a: Built, b: Built) -> bool:
    return (a.planned.target, a.artifact.files, a.runner.options) == (b.planned.target, b.artifact.files, b.runner.options)


def build_peers(task: Task, model: Model, site: Site, scratch: Path, progress: Progress) -> Iterator[Contestant]:
    given, calibration = scratch / "given.onnx", scratch / "calibration.npz"
    contestants.write_at_shape(task.model, task.shape, given)
    contestants.write_calibration(task.calibration(), calibration)
    for peer in contestants.PEERS:
        progress.stage(f"-- {task.name}: {peer.name}")
        yield contestants.build_peer(peer, model, given, calibration, site, scratch)


def _with_auto(result: TaskResult, measured: measuring.Measured) -> TaskResult:
    """The speed of auto's winner against the best single target's, from the same rounds."""
    singles = [row for target in TARGETS if (row := result.row_of(target)) is not None and row.speedup is not None]
    auto = result.row_of(AUTO)
    if auto is None or not singles:
        return result
    best = max(singles, key=lambda row: row.speedup.value if row.speedup else 0.0)
    return replace(result, best_single=best.name, auto_against_best=measured.ratio(best.name, auto.name))


def taken(features: tuple[str, ...], budget_s: float) -> Taken:
    return Taken(
        commit=results.commit(),
        cpu=results.cpu(),
        features=tuple(feature for feature in FEATURES if feature in features),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        versions=versions_of(PACKAGES),
        budget_s=budget_s,
    )


def versions_of(packages: tuple[str, ...]) -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    versions = {"Python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
