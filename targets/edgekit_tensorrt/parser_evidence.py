"""What TensorRT-RTX says to an ONNX file: evidence that the parser takes it, on a machine without a GPU.

TensorRT-RTX is another product with the same parser. It builds for a compute capability that is named, and its plan is dropped: it
never goes to a device. That it takes a file is evidence, not proof; what it says against one is worth reading.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edgekit.types import JSON

from .limits import Version, dotted

PACKAGE = "tensorrt_rtx"
DISTRIBUTION = "tensorrt-rtx"
TIMEOUT_S = 300.0
MEMORY_BYTES = 16 << 30
_WORKER = Path(__file__).with_name("rtx_worker.py")
#: What it can build for, by compute capability.
_BUILDS_FOR: dict[Version, str] = {(7, 5): "SM75", (8, 0): "SM80", (8, 6): "SM86", (8, 9): "SM89", (12, 0): "SM120"}
ASSUMED: Version = (8, 6)  # where the GPU is not known


@dataclass(frozen=True)
class Question:
    """``shapes``: as in the runner's options; ``capability``: of the device's GPU, None where it is not known."""

    path: Path
    capability: Version | None = None
    shapes: Mapping[str, JSON] | None = None
    sparsity: bool = False


@dataclass(frozen=True)
class Answer:
    """``accepted`` is None where there is none: it ran out of time or memory, or ended; ``errors`` says so."""

    accepted: bool | None
    stage: str
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def version() -> str | None:
    """Of the package, None where it is not installed; nothing is imported."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None


def nearest(capability: Version | None) -> str:
    """The one it builds for that is next below the device's; the lowest for older ones. Thor (11.0) is of the family of 12.0."""
    wanted = max(capability, (12, 0)) if capability is not None and capability[0] > 9 else capability or ASSUMED
    return _BUILDS_FOR[max((each for each in _BUILDS_FOR if each <= wanted), default=min(_BUILDS_FOR))]


def ask(questions: Sequence[Question], *, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> list[Answer]:
    """One answer a question, in their order. All are asked in one process, and in a new one behind a question that ended it.

    The package must be installed. Memory is bounded on Linux only.
    """
    answers: list[Answer] = []
    while len(answers) < len(questions):
        got, why = _run(questions[len(answers) :], timeout_s, memory_bytes)
        answers += got
        if len(answers) < len(questions) and why:
            answers.append(Answer(None, "", (why,)))
    return answers


def _run(questions: Sequence[Question], timeout_s: float, memory_bytes: int) -> tuple[list[Answer], str]:
    """The answers before it ended, and how it ended; empty when it answered everything."""
    models = [
        {
            "path": str(question.path),
            "compute_capability": nearest(question.capability),
            "shapes": question.shapes,
            "sparsity": question.sparsity,
        }
        for question in questions
    ]
    job = json.dumps({"models": models, "memory_bytes": memory_bytes})
    command = [sys.executable, "-I", str(_WORKER)]
    try:
        done = subprocess.run(command, input=job, capture_output=True, text=True, timeout=timeout_s, check=False, errors="replace")
    except subprocess.TimeoutExpired as problem:
        said = problem.stdout or b""
        return _answers(said.decode(errors="replace") if isinstance(said, bytes) else said), f"no answer within {timeout_s:g} s"
    answers = _answers(done.stdout)
    if len(answers) == len(questions):
        return answers, ""
    last = done.stderr.strip().splitlines()[-1:] or [""]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return answers, f"its process ended ({how}) {last[0][:200]}".strip()


def _answers(text: str) -> list[Answer]:
    found = []
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:  # cut off in the middle
            break
        found.append(Answer(bool(said["accepted"]), str(said["stage"]), tuple(said["errors"]), tuple(said["warnings"])))
    return found


def evidence(question: Question) -> dict[str, JSON]:
    """What is recorded of one artifact. Plain words first: this is read in bundles."""
    installed = version()
    if installed is None:
        why = f"{DISTRIBUTION} is not installed here (pip install 'edgekit-sdk[rtx]')"
        return {"summary": f"not shown to a parser: {why}", "accepted": None, "reason": why}
    (answer,) = ask([question])
    built_for, gpu = nearest(question.capability).lower().replace("sm", "sm_"), dotted(question.capability) or "not known"
    verdict = {True: "accepted", False: "refused", None: "not answered"}[answer.accepted]
    return {
        "summary": f"{verdict} by {DISTRIBUTION} {installed} for {built_for}; not TensorRT, plan discarded",
        "accepted": answer.accepted,
        "by": f"{DISTRIBUTION} {installed}",
        "built_for": built_for,
        "device_compute_capability": gpu,
        "stage": answer.stage,
        "errors": list(answer.errors),
        "warnings": list(answer.warnings),
    }
