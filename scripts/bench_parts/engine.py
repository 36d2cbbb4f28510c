"""The engine: memory and time of calibration, quality at the same coverage, verdicts beside a search by hand, large models; written
to docs/results.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from edgekit.devices.inventory import probe_device
from edgekit.errors import DataError, DependencyError, DeviceRunError, EdgekitError, ModelError, UsageError
from edgekit.progress import Progress
from edgekit.report.progress import PlainProgress, stderr_console
from edgekit.request_parsing import parse_duration

from . import (
    engine_calibration,
    engine_large,
    engine_lines,
    engine_quality,
    engine_records,
    engine_tables,
    engine_verdicts,
    lines,
    results,
    stored,
    task_list,
    tasks,
)
from .engine_lines import FEW
from .engine_records import CalibrationResult, EngineDocument, Stamp
from .task_list import Task

PARTS = ("memory", "time", "quality", "verdicts", "large")
TITLE = "Engine"
MIN_REPEATS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas (all of them unless said)")
    parser.add_argument("--tasks", default=",".join(task_list.NAMES), help="tasks of quality and verdicts (all unless said)")
    parser.add_argument("--budget", default="600", help="the --budget of each deploy (600 s unless said)")
    parser.add_argument("--repeats", type=int, default=MIN_REPEATS, help=f"timed runs of each calibration (at least {MIN_REPEATS})")
    parser.add_argument("--output", default=str(results.DOCUMENT), help="document to write; - prints to stdout and keeps nothing")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 when a part was left out or something that is promised was missed, 130 after Ctrl-C."""
    progress = PlainProgress(stderr_console())
    output = None if arguments.output == "-" else Path(arguments.output)
    try:
        parts, names = _chosen("part", arguments.only, PARTS), _chosen("task", arguments.tasks, task_list.NAMES)
        budget_s = parse_duration(arguments.budget)
        if arguments.repeats < MIN_REPEATS:
            raise UsageError(f"--repeats must be at least {MIN_REPEATS}", why=f"it is {arguments.repeats}")
        run_ = Run(engine_records.read(engine_records.data_path(output)) if output else EngineDocument(), output, progress)
        if {"memory", "time"} & set(parts):
            run_.calibration(arguments.repeats, time="time" in parts, memory="memory" in parts)
        if "quality" in parts:
            run_.quality(names)
        if "verdicts" in parts:
            run_.verdicts(names, budget_s)
        if "large" in parts:
            run_.large(budget_s)
    except EdgekitError as problem:
        print(f"engine: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("engine: interrupted", file=sys.stderr)
        return 130
    if output is None:
        print("\n".join(engine_tables.document(run_.document)))
    found = engine_lines.of_document(run_.document)
    for line in found:
        print(f"{line.verdict}: {line.task}: {line.promise}: {line.numbers}", file=sys.stderr)
    return 1 if run_.left_out or any(line.verdict == lines.MISSED for line in found) else 0


def _chosen(kind: str, text: str, known: tuple[str, ...]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UsageError(f"unknown {kind} {', '.join(unknown) or text!r}", hint=f"known: {', '.join(known)}")
    return [name for name in known if name in names]


class Run:
    """The parts of one run. The document is written after every result: a long run that is ended keeps what it has found."""

    def __init__(self, document: EngineDocument, output: Path | None, progress: Progress) -> None:
        self.document = document
        self.left_out = False
        self._output = output
        self._progress = progress
        taken = tasks.taken(probe_device().cpu_features, 0.0)
        self._stamp = Stamp(taken.commit, taken.cpu, taken.features, taken.date, taken.versions)

    def calibration(self, repeats: int, *, time: bool, memory: bool) -> None:
        """Runs with few samples count for both parts."""
        found: list[engine_records.CalibrationRun] = []
        with tasks.private_home() as scratch:
            for each in engine_calibration.runs(scratch, repeats, time=time, memory=memory, progress=self._progress):
                found.append(each)
                if memory:
                    self._keep(replace(self.document, memory=CalibrationResult(self._stamp, tuple(found))))
                if time:
                    few = tuple(run for run in found if run.samples == FEW)
                    self._keep(replace(self.document, time=CalibrationResult(self._stamp, few)))

    def quality(self, names: list[str]) -> None:
        def run(task: Task, scratch: Path) -> EngineDocument:
            new = engine_quality.run_task(task, self._stamp, scratch, self._progress)
            return engine_records.with_quality(self.document, new, task_list.NAMES)

        self._each_task("quality", names, run)

    def verdicts(self, names: list[str], budget_s: float) -> None:
        def run(task: Task, scratch: Path) -> EngineDocument:
            new = engine_verdicts.run_task(task, budget_s, scratch, self._progress)
            return engine_records.with_verdict(self.document, new, task_list.NAMES)

        self._each_task("verdicts", names, run)

    def large(self, budget_s: float) -> None:
        with tasks.private_home() as scratch:
            for each in engine_large.runs(self._stamp, budget_s, scratch, self._progress):
                self._keep(engine_records.with_large(self.document, each))

    def _each_task(self, part: str, names: list[str], run: Callable[[Task, Path], EngineDocument]) -> None:
        for task in self._loaded(part, names):
            try:
                with tasks.private_home() as scratch:
                    self._keep(run(task, scratch))
            except (DataError, DependencyError, ModelError, DeviceRunError) as problem:
                self._leave_out(part, task.name, problem)

    def _loaded(self, part: str, names: list[str]) -> Iterator[Task]:
        for name in names:
            self._progress.stage(f"== {part}: {name}")
            try:
                yield task_list.load(name)
            except (DataError, DependencyError) as problem:
                self._leave_out(part, name, problem)

    def _leave_out(self, part: str, name: str, problem: EdgekitError) -> None:
        self._progress.note(f"{name} is left out of {part}: {problem}")
        self.left_out = True

    def _keep(self, document: EngineDocument) -> None:
        self.document = document
        if self._output:
            stored.write(engine_records.data_path(self._output), document)
            results.replace(TITLE, engine_tables.document(document), self._output)
