"""The section of docs/results.md that is made of the engine's results."""

from __future__ import annotations

from . import engine_lines, lines
from .engine_records import CalibrationResult, EngineDocument, LargeResult, QualityResult, QualityRow, Stamp, VerdictResult
from .lines import ratio_text
from .tables import table, task_tables

INTRODUCTION = """\
Made by `scripts/bench engine` from the JSON file beside this one. "By hand" are the recipes that a search by hand ended with, made
again and measured in the same rounds. Brackets are 95 % intervals. A line that is missed says so, with the numbers.""".splitlines()

CALIBRATION = """\
A net with the shapes of a ResNet50 and seeded weights, 224x224, seeded normal samples. Each run is a process of its own; the runs
of one number of samples are interleaved. Seconds are from the model's file to the ranges, imports left out; ours makes the ranges
by mean squared error. The peak is that of the resident set.""".splitlines()

QUALITY = """\
The same operators in every artifact, uint8 activations, int8 weights a channel, the same calibration feeds. What is compared is
the SQNR of the outputs on feeds of the third set, which neither calibration nor the choice of our range method has
seen.""".splitlines()


def document(found: EngineDocument) -> list[str]:
    parts = [*INTRODUCTION, "", "What is promised:", "", *_promises(found)]
    parts += _calibration("memory", found.memory)
    parts += _calibration("time", found.time)
    if found.quality:
        parts += ["", "### Quality at the same coverage", "", *QUALITY, "", *_quality(found.quality)]
    for result in found.verdicts:
        parts += ["", *_verdict(result)]
    if found.large:
        parts += ["", "### Large models", "", *_large(found.large)]
    return parts


def _promises(found: EngineDocument) -> list[str]:
    rows = [[line.task, line.promise, _marked(line.verdict), line.numbers] for line in engine_lines.of_document(found)]
    return table(["of", "promise", "verdict", "numbers"], rows)


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if verdict == lines.MISSED else verdict


def _taken(stamp: Stamp) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in stamp.versions.items())
    return f"Commit {stamp.commit}, {stamp.cpu} ({', '.join(stamp.features) or 'no int8 instructions'}), {versions}, {stamp.date}."


# ---------------------------------------------------------------- memory and time
def _calibration(name: str, found: CalibrationResult | None) -> list[str]:
    if found is None:
        return []
    keys = list(dict.fromkeys((run.who, run.samples) for run in found.runs))
    rows = []
    for who, samples in keys:
        runs = found.of(who, samples)
        tensors = next((f"{run.tensors}" for run in runs if run.tensors is not None), "-")
        seconds = [f"{run.wall_s:.1f}" for run in runs if run.wall_s is not None]
        peaks = [f"{run.peak_bytes / 1e6:.0f}" for run in runs if run.peak_bytes is not None]
        fails = next((f"fails: {run.fails}" for run in runs if run.fails), "")
        rows.append([who.replace("_", " "), f"{samples}", tensors, ", ".join(seconds) or fails, ", ".join(peaks) or "-"])
    header = ["calibration", "samples", "tensors", "seconds, each run", "peak MB, each run"]
    return ["", f"### Calibration: {name}", "", *CALIBRATION, "", _taken(found.stamp), "", *table(header, rows)]


# ---------------------------------------------------------------- quality
def _quality(found: tuple[QualityResult, ...]) -> list[str]:
    names = list(dict.fromkeys(row.name for result in found for row in result.peers))
    rows = []
    for result in found:
        about = (
            f"{result.operators} operators; {result.calibration_feeds} and {result.unseen_feeds} feeds" if not result.fails else ""
        )
        if result.fails:
            rows.append([result.task, f"left out: {result.fails}", *[""] * (len(names) + 1)])
            continue
        peers = {row.name: row for row in result.peers}
        rows.append([result.task, about, _decibels(result.ours), *(_decibels(peers.get(name)) for name in names)])
    stamps = list(dict.fromkeys(_taken(result.stamp) for result in found))
    return [*stamps, "", *table(["task", "compared", "edgekit", *names], rows)]


def _decibels(row: QualityRow | None) -> str:
    if row is None:
        return "-"
    if row.sqnr_db is None:
        return f"fails: {row.fails}"
    agreement = f", agreement {row.agreement:.3f}" if row.agreement is not None else ""
    return f"{row.sqnr_db:.2f} dB{agreement}" + (f" ({row.detail})" if row.detail else "")


# ---------------------------------------------------------------- verdicts
def _verdict(found: VerdictResult) -> list[str]:
    rows = [[each.target, each.winner, ratio_text(each.ratio), each.other] for each in found.against]
    heading, *rest = task_tables(found.result)
    header = ["target", "winner", "runs at", "of"]
    return [f"{heading}: verdicts", *rest, "", *table(header, rows)] if rows else [f"{heading}: verdicts", *rest]


# ---------------------------------------------------------------- large models
def _large(found: tuple[LargeResult, ...]) -> list[str]:
    header = ["model", "operators", "size", "budget", "wall", "peak of all processes", "winner", "measured", "steps of the search"]
    rows = []
    for result in found:
        peak = "-" if result.peak_bytes is None else f"{result.peak_bytes / 1e9:.2f} GB"
        wall = "-" if result.wall_s is None else f"{result.wall_s:.0f} s"
        ended = f"fails: {result.fails}" if result.fails else result.winner
        size, budget = f"{result.size_bytes / 1e6:.0f} MB", f"{result.budget_s:g} s"
        rows.append(
            [result.name, f"{result.operators}", size, budget, wall, peak, ended, f"{result.measured}", f"{result.sparing_steps}"]
        )
    stamps = list(dict.fromkeys(_taken(result.stamp) for result in found))
    return [*stamps, "", *table(header, rows)]
