"""Every model for a Jetson that is not at hand: its bundle, TensorRT's rules, a parser's word, and modelopt's int8 beside ours."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from edgekit.errors import DataError, DependencyError, EdgekitError, UsageError
from edgekit.progress import Progress
from edgekit.report.progress import PlainProgress, stderr_console
from edgekit.request_parsing import parse_duration

from . import jetson_lines, jetson_records, jetson_tables, lines, results, stored, task_list, tasks
from .jetson_build import Job, run_job
from .jetson_records import Document, ModelResult

#: Samples for calibration, by model: what modelopt's calibrators keep in memory of each grows with the picture.
SAMPLES = {
    "digits": 128, "mobilenetv2": 64, "resnet50": 64, "vit": 64, "minilm": 64, "recogniser": 48, "detector": 40,
}  # fmt: skip
NAMES = tuple(SAMPLES)
PACKAGES = ("edgekit-sdk", "onnx", "onnxruntime", "torch", "tensorrt-rtx")
TITLE = "TensorRT without a device"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(NAMES), help="models, separated by commas (all of them unless said)")
    parser.add_argument("--budget", default="300", help="the --budget of each build (300 s unless said)")
    parser.add_argument("--no-peers", action="store_true", help="leave modelopt out (its toolchain is 300 MB)")
    parser.add_argument("--output", default=str(results.DOCUMENT), help="document to write; - prints to stdout and keeps nothing")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 when something that was promised of a model of this run does not hold, 130 after Ctrl-C."""
    progress = PlainProgress(stderr_console())
    try:
        names, budget_s = chosen(arguments.only), parse_duration(arguments.budget)
        output = None if arguments.output == "-" else Path(arguments.output)
        document = jetson_records.read(jetson_records.data_path(output)) if output else Document()
        for name in names:
            progress.stage(f"== {name}")
            document = jetson_records.merged(document, _result(name, budget_s, progress, peer=not arguments.no_peers), NAMES)
            if output:  # after every model: a long run that is ended keeps what it has found
                stored.write(jetson_records.data_path(output), document)
                results.replace(TITLE, jetson_tables.document(document), output)
    except EdgekitError as problem:
        print(f"jetson: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("jetson: interrupted", file=sys.stderr)
        return 130
    if output is None:
        print("\n".join(jetson_tables.document(document)))
    found = [line for line in jetson_lines.of_document(document) if line.task in names]
    for line in found:
        print(f"{line.verdict}: {line.task}: {line.promise}: {line.numbers}", file=sys.stderr)
    return 1 if any(line.verdict == lines.MISSED for line in found) else 0


def chosen(only: str) -> list[str]:
    """The models that are named.

    Raises:
        UsageError: one of them is none.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = sorted(set(names) - set(NAMES))
    if unknown or not names:
        raise UsageError(f"no model is called {', '.join(unknown) or 'nothing'}", hint=f"there are {', '.join(NAMES)}")
    return names


def _result(name: str, budget_s: float, progress: Progress, *, peer: bool) -> ModelResult:
    """What was found of one model; what is missing or goes wrong is its result."""
    taken = replace(tasks.taken((), budget_s), versions=tasks.versions_of(PACKAGES))
    try:
        with tasks.private_home() as scratch:
            return run_job(Job(task_list.load(name), SAMPLES[name], budget_s, peer), taken, scratch, progress)
    except (DataError, DependencyError) as problem:
        progress.note(f"{name} is left out: {problem}")
        raise
    except EdgekitError as problem:
        return ModelResult(name, taken, "", 0.0, fails=str(problem)[:400])
