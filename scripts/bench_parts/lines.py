"""What is promised of the tasks, held against what was measured: met, missed or skipped, always with the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.types import Ratio

from .holding import MIN_AGREEMENT
from .records import AUTO, Deployed, Document, Row, TaskResult

MET, MISSED, SKIPPED = "met", "missed", "skipped"
NEEDED_FEATURE = "avx512_vnni"
INEXPRESSIBLE = ("silero", "tflite")  # a .tflite file is one fixed graph, and this model's is chosen by an If
REFUSED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Line:
    task: str
    promise: str
    verdict: str
    numbers: str


@dataclass(frozen=True)
class LeastSpeedup:
    """The speed-up over ONNX Runtime float32 that a target's winner reaches, where the processor has :data:`NEEDED_FEATURE`.

    ``with_agreement``: the agreement with float is part of the promise.
    """

    task: str
    target: str
    at_least: float
    with_agreement: bool = False


LEAST_SPEEDUPS = (
    LeastSpeedup("recogniser", "openvino", 3.2),
    LeastSpeedup("minilm", "openvino", 2.6),
    LeastSpeedup("detector", "openvino", 1.85, with_agreement=True),
    LeastSpeedup("minilm", "tflite", 2.9),
    LeastSpeedup("magika", "tflite", 2.9),
)


def of_document(document: Document) -> list[Line]:
    return [line for result in document.tasks for line in of_task(result)]


def of_task(result: TaskResult) -> Iterator[Line]:
    for deployed in result.deploys:
        if (result.task, deployed.target) == INEXPRESSIBLE:
            yield _refused(result, deployed)
        else:
            yield _holds_on_third(result, deployed)
            yield _own_float(result, deployed)
    yield _auto(result)
    for stated in LEAST_SPEEDUPS:
        if stated.task == result.task:
            yield _least_speedup(result, stated)
    if result.task == "magika":
        yield _magika(result)


def _holds_on_third(result: TaskResult, deployed: Deployed) -> Line:
    promise = f"the winner on {deployed.target} holds the gates on the third set"
    row = result.row_of(deployed.target)
    if row is None or row.third is None:
        return Line(result.task, promise, MISSED, deployed.fails or (row.fails if row else "no winner"))
    numbers = f"{row.name}: {result.metric} {row.third.value:.4f}, agreement {row.third.agreement:.3f}"
    if row.third.reason:
        numbers += f" ({row.third.reason})"
    return Line(result.task, promise, MET if row.third.holds else MISSED, numbers)


def _refused(result: TaskResult, deployed: Deployed) -> Line:
    promise = f"{deployed.target} refuses the model, naming the operator, in under {REFUSED_WITHIN_S:g} s"
    is_met = deployed.winner is None and "If" in deployed.fails.split() and deployed.wall_s < REFUSED_WITHIN_S
    return Line(result.task, promise, MET if is_met else MISSED, f"{deployed.wall_s:.1f} s: {deployed.fails or deployed.winner}")


def _own_float(result: TaskResult, deployed: Deployed) -> Line:
    """By the deploy's own rounds: the common ones have each target's winner alone."""
    promise = f"the winner on {deployed.target} is not slower than its own float"
    if deployed.winner is None:
        return Line(result.task, promise, MISSED, deployed.fails)
    if deployed.own_float is None:
        return Line(result.task, promise, SKIPPED, "the run was recorded without it")
    numbers = f"{deployed.winner}: {ratio_text(deployed.own_float)}"
    return Line(result.task, promise, MET if deployed.own_float.ci95[1] >= 1.0 else MISSED, numbers)


def _auto(result: TaskResult) -> Line:
    promise = "auto is not slower than the best single target"
    auto, ratio = result.row_of(AUTO), result.auto_against_best
    if auto is None or ratio is None:
        return Line(result.task, promise, MISSED, "there are no two winners to compare")
    if auto.name == result.best_single:
        return Line(result.task, promise, MET, f"both are {auto.name}")
    numbers = f"{auto.name} runs at {ratio_text(ratio)} of {result.best_single}"
    return Line(result.task, promise, MET if ratio.ci95[1] >= 1.0 else MISSED, numbers)


def _least_speedup(result: TaskResult, stated: LeastSpeedup) -> Line:
    promise = f"{stated.target} reaches {stated.at_least:g}x" + (", agreement at its gate" if stated.with_agreement else "")
    if NEEDED_FEATURE not in result.taken.features:
        return Line(result.task, promise, SKIPPED, f"the processor has no {NEEDED_FEATURE}")
    row = result.row_of(stated.target)
    if row is None or row.speedup is None:
        return Line(result.task, promise, MISSED, "it was not measured")
    reached, numbers = row.speedup.value >= stated.at_least, f"{row.name}: {ratio_text(row.speedup)}"
    if stated.with_agreement:
        agreements = _agreements(row)
        reached = reached and len(agreements) == 2 and min(agreements) >= MIN_AGREEMENT
        numbers += f", agreement {' and '.join(f'{value:.3f}' for value in agreements)} (gate {MIN_AGREEMENT:g})"
    return Line(result.task, promise, MET if reached else MISSED, numbers)


def _agreements(row: Row) -> list[float]:
    return [quality.agreement for quality in (row.evaluation, row.third) if quality is not None]


def _magika(result: TaskResult) -> Line:
    """bfloat16 and NNCF's default recipe lose points there; whatever else ships is judged by the other promises."""
    promise = "openvino ships neither bfloat16 nor NNCF's default"
    deployed = next((each for each in result.deploys if each.target == "openvino"), None)
    if deployed is None or deployed.winner is None:
        return Line(result.task, promise, MISSED, "openvino has no winner")
    is_bfloat16 = deployed.scheme == "bfloat16" or deployed.run_options.get("inference_precision") == "bf16"
    is_default = deployed.scheme == "int8" and not deployed.build_options
    return Line(result.task, promise, MISSED if is_bfloat16 or is_default else MET, f"it ships {deployed.winner}")


def ratio_text(ratio: Ratio) -> str:
    return f"{ratio.value:.2f}x [{ratio.ci95[0]:.2f}, {ratio.ci95[1]:.2f}]"
