"""The section of docs/results.md that is made of the TensorRT benchmark's results."""

from __future__ import annotations

from . import jetson_lines, lines
from .jetson_records import Document, Int8, ModelResult, Precision
from .tables import table

INTRODUCTION = """\
Made by `scripts/bench jetson` from the JSON file beside this one, on a machine without a GPU: nothing here was run on a Jetson,
and nothing here is a speed. Each bundle is built for `--target jetson` without a device. Quality is that of a simulation in ONNX
Runtime on a CPU, every operator as it is written, scales in float32. tensorrt-rtx has TensorRT's parser and builds for SM86 (the
nearest to Orin's sm_87) without a GPU; it is another product, so that it builds a file is evidence and no proof. NVIDIA's Model
Optimizer (modelopt) quantizes edgekit's own float file with the same samples, in an isolated toolchain, by its default (entropy)
and by its other method (max); what stays float is float32 in both, and both run in the same simulation on samples that neither
has seen. edgekit's is the int8 that it hands over where no operator is spared: biases corrected or channels equalized where that
helped on samples that it held out. The nets from PyTorch have random weights and a fitted head (`tests/tasks/torch_nets.py`). A
line that is missed says so, with the numbers.""".splitlines()


def document(found: Document) -> list[str]:
    rows = [[line.task, line.promise, _marked(line.verdict), line.numbers] for line in jetson_lines.of_document(found)]
    parts = [*INTRODUCTION, "", "### Promises", "", *table(["model", "promise", "verdict", "numbers"], rows)]
    for result in found.models:
        parts += ["", *_model(result)]
    return parts


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if verdict == lines.MISSED else verdict


def _model(result: ModelResult) -> list[str]:
    taken = result.taken
    versions = ", ".join(f"{name} {version}" for name, version in taken.versions.items())
    parts = [
        f"### {result.name}",
        "",
        f"Commit {taken.commit}, {taken.cpu}, {versions}, {taken.date}; for {result.profile}, budget {taken.budget_s:g} s, "
        f"{result.wall_s:.0f} s in all.",
        "",
    ]
    if result.fails:
        return [*parts, f"Left out: {result.fails}"]
    header = [
        "precision",
        "candidate",
        "SQNR",
        "agreement",
        result.metric or "metric",
        "operators in float",
        "rules",
        "tensorrt-rtx",
    ]
    parts += table(header, [_precision(each) for each in result.precisions])
    if result.beside is not None:
        all_int8 = (result.beside.ours, result.beside.plain, *result.beside.theirs)
        parts += ["", *table(["int8 by", "SQNR", "convolutions", "products"], [_int8(each) for each in all_int8])]
    return parts


def _precision(each: Precision) -> list[str]:
    parser = {True: "built", False: f"refused: {each.parser_said}", None: each.parser_said or "no answer"}[each.parser]
    return [
        each.scheme,
        each.id + ("" if each.holds else f" (refused: {each.reason})"),
        _number(each.sqnr_db, "{:.1f} dB"),
        _number(each.agreement, "{:.3f}"),
        _number(each.metric, "{:.4f}"),
        str(each.kept_float),
        f"{len(each.rules)} errors, {each.warnings} warnings",
        parser,
    ]


def _int8(each: Int8) -> list[str]:
    if each.fails:
        return [each.who, f"fails: {each.fails}", "", ""]
    return [each.who, _number(each.sqnr_db, "{:.2f} dB"), str(each.convolutions), str(each.products)]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
