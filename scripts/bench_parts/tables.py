"""The section of docs/results.md that is made of the tasks' results."""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import lines
from .contestants import PEERS, REFERENCE
from .lines import ratio_text
from .records import AUTO, TARGETS, Deployed, Document, Quality, Row, TaskResult

INTRODUCTION = """\
Made by `scripts/bench tasks` from the JSON file beside this one; `tests/tasks/README.md` describes the tasks. One thread, batch 1,
all artifacts of a task in the same interleaved rounds of edgekit's own loop, each peer's file run by the device code of its
runtime. A peer's recipe is its documented default, calibrated with the same feeds, on the model at the task's input shape.
Brackets are 95 % intervals. edgekit never sees the third set. To "hold" is to hold edgekit's default gates: metric down by at
most 1 % of float's, agreement with float at least 0.95. On the evaluation set slices count as well; on the third set an interval
that reaches the gate is enough. A deploy to auto comes last and finds in the cache what the two before it built.""".splitlines()


def document(found: Document) -> list[str]:
    parts = [*INTRODUCTION, "", *_summary(found), "", *_means(found), "", *_promises(found)]
    for result in found.tasks:
        parts += ["", *task_tables(result)]
    return parts


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [header, ["---"] * len(header), *([_cell(text) for text in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in cells]


def _cell(text: str) -> str:
    """A pipe would end the cell, and a less-than sign begin HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# ---------------------------------------------------------------- over all tasks
def _summary(found: Document) -> list[str]:
    header = ["task", *(f"{target}: winner, speed, holds on the third set" for target in (*TARGETS, AUTO)), "auto / best single"]
    rows = []
    for result in found.tasks:
        ratio = result.auto_against_best
        auto = result.row_of(AUTO)
        is_same = auto is not None and auto.name == result.best_single
        against = "the same" if is_same else ratio_text(ratio) if ratio else "-"
        rows.append([result.task, *(_winner(result, target) for target in (*TARGETS, AUTO)), against])
    return ["### Summary", "", *table(header, rows)]


def _winner(result: TaskResult, target: str) -> str:
    row = result.row_of(target)
    deployed = next((each for each in result.deploys if each.target == target), None)
    if deployed is None:
        return "not run yet"
    if row is None or row.speedup is None:
        return f"fails: {deployed.fails or (row.fails if row else '')}"
    return f"{deployed.winner}, {ratio_text(row.speedup)}, {_holds(row.third)}"


def _means(found: Document) -> list[str]:
    """Geometric means over the tasks. Whoever's artifact fails or is wrong ships float, at 1.00x."""
    n = len(found.tasks)
    rows = []
    for name, of_task in (
        *((f"edgekit, {target}", [result.row_of(target) for result in found.tasks]) for target in (*TARGETS, AUTO)),
        *((peer.name, [_named(result, peer.name) for result in found.tasks]) for peer in PEERS),
    ):
        measured = [row.speedup.value for row in of_task if row is not None and row.speedup is not None]
        right = [row.speedup.value for row in of_task if row is not None and row.speedup is not None and _is_right(row)]
        if measured:
            mean = geometric_mean([*right, *[1.0] * (n - len(right))])
            rows.append([name, f"{geometric_mean(measured):.2f}x ({len(measured)} of {n})", f"{mean:.2f}x ({len(right)} of {n})"])
    header = ["recipe", "mean speed where it runs", "mean speed where it holds the gates on both sets, 1.00x elsewhere"]
    return [f"Geometric means of the speed against {REFERENCE}:", "", *table(header, rows)]


def _is_right(row: Row) -> bool:
    return row.evaluation is not None and row.evaluation.holds and row.third is not None and row.third.holds


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _named(result: TaskResult, name: str) -> Row | None:
    return next((row for row in result.rows if row.name == name), None)


def _promises(found: Document) -> list[str]:
    rows = [[line.task, line.promise, _marked(line.verdict), line.numbers] for line in lines.of_document(found)]
    return ["What is promised:", "", *table(["task", "promise", "verdict", "numbers"], rows)]


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if verdict == lines.MISSED else verdict


# ---------------------------------------------------------------- one task
def task_tables(result: TaskResult) -> list[str]:
    taken = result.taken
    versions = ", ".join(f"{name} {version}" for name, version in taken.versions.items())
    reference = _named(result, REFERENCE)
    sizes = ""
    if reference is not None and reference.evaluation is not None and reference.third is not None:
        sizes = f"; n = {reference.evaluation.n} and {reference.third.n}"
    features = ", ".join(taken.features) or "no int8 instructions"
    scores = [f"{result.metric}, evaluation", "third set", "agreement, evaluation / third"]
    by_report = ["deploy to", "winner", "speed in that run", "metric", "agreement", "wall", "why"]
    return [
        f"### {result.task}",
        "",
        f"Commit {taken.commit}, {taken.cpu} ({features}), {versions}, {taken.date}. The metric is {result.metric}{sizes}. Each "
        f"deploy had a budget of {taken.budget_s:g} s.",
        "",
        *table(["artifact", *scores, "speed", "holds the gates, evaluation / third"], [_row(row) for row in result.rows]),
        "",
        *table(by_report, [_deploy(each) for each in result.deploys]),
    ]


def _row(row: Row) -> list[str]:
    name = row.name + (f" ({', '.join(row.targets)})" if row.targets else "") + (f": {row.detail}" if row.detail else "")
    if row.fails:
        return [name, f"fails: {row.fails}", "", "", _speed(row), ""]
    evaluation, third = row.evaluation, row.third
    assert evaluation is not None
    assert third is not None
    drop = f" (drop [{third.drop_ci95[0]:+.3f}, {third.drop_ci95[1]:+.3f}])" if third.drop_ci95 and row.maker != "reference" else ""
    return [
        name,
        f"{evaluation.value:.4f}",
        f"{third.value:.4f}{drop}",
        f"{evaluation.agreement:.3f} / {third.agreement:.3f} ({third.agreement_kind})",
        _speed(row),
        f"{_holds(evaluation)} / {_holds(third)}",
    ]


def _speed(row: Row) -> str:
    if row.speedup is None or row.p50_s is None:
        return "-"
    noise = "" if row.trust == "steady" else f", {row.trust}"
    return f"{ratio_text(row.speedup)} ({row.p50_s * 1e3:.3g} ms{noise})"


def _holds(quality: Quality | None) -> str:
    if quality is None:
        return "-"
    reason = f" ({_first(quality.reason)})" if quality.reason else ""
    return f"yes{reason}" if quality.holds else f"**no**{reason}"


def _first(reasons: str) -> str:
    """The first of several reasons, and how many there are besides; the JSON file has them all."""
    first, *others = reasons.split("; ")
    return f"{first}; and {len(others)} more" if others else first


def _deploy(each: Deployed) -> list[str]:
    if each.winner is None:
        return [each.target, "none", "-", "-", "-", f"{each.wall_s:.0f} s", f"fails: {each.fails}"]
    return [
        each.target,
        each.winner,
        ratio_text(each.speedup) if each.speedup else "-",
        "-" if each.metric is None else f"{each.metric:.4f}",
        "-" if each.agreement is None else f"{each.agreement:.3f}",
        f"{each.wall_s:.0f} s",
        each.reason,
    ]
