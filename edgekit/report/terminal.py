"""The verdict on the terminal: what won, what did not and why, and how we know.

One table where the terminal is wide; in a narrow one the same columns as two tables, speed and quality, so that nothing is cut.
Every text is printed literally: it may come from a model, a file name or a device.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..schemes import AsIs, Float32, Vendor
from ..targets import ONNX_FORMATS, REFERENCE
from ..types import JSON, BaselineReport, Candidate, CandidateReport, DeployReport, Fidelity
from .energy import energy_lines
from .paragraph import add_number_column, say
from .sustain import print_sustained
from .text import (
    NOT_MEASURED,
    TimeUnit,
    clean,
    decibels,
    duration,
    fraction,
    one_line,
    ratio_with_interval,
    reference_name,
    size,
    time_unit,
)

WIDE_COLUMNS = 140
STYLES = {
    "winner": "bold green", "accepted": "green", "not faster": "yellow", "not scored": "dim", "refused": "red", "not tried": "dim",
}  # fmt: skip

Cell = Callable[[CandidateReport], str]
QUALITY: tuple[tuple[str, Cell], ...] = (
    ("agreement", lambda row: _agreement(row)),
    ("metric", lambda row: _metric(row.fidelity)),
    ("SQNR dB", lambda row: decibels(row.fidelity.sqnr_db if row.fidelity else None)),
    ("size", lambda row: size(row.size_bytes)),
)


_JUDGED = {"host": "on the host", "device": "on the device", "simulation": "by a CPU simulation of the device"}


def print_report(report: DeployReport, console: Console) -> None:
    """Prints the verdict of ``report``: tables, refusals, winner, evidence, warnings and the next command."""
    say(console, _headline(report), style="bold")
    _print_tables(report, console)
    _print_variants(report, console)
    _print_refusals(report, console)
    console.print()
    _print_winner(report, console)
    if report.baseline is not None:
        _print_baseline(report.baseline, console)
    if report.sustain is not None:
        print_sustained(report.sustain, console)
    for warning in report.warnings:
        say(console, f"warning: {warning}", style="yellow", hanging=2)
    _print_next(report, console)


def print_plan(report: DeployReport, console: Console) -> None:
    """Prints what ``--dry-run`` found: every candidate, and whether it would be tried or why it is refused."""
    say(console, f"{_headline(report)}: dry run, nothing was built", style="bold")
    for row in report.candidates:
        say(console, f"{row.id}: {row.reason}", hanging=2)
    for warning in report.warnings:
        say(console, f"warning: {warning}", style="yellow", hanging=2)


def _headline(report: DeployReport) -> str:
    name = str(report.model.get("name") or report.model.get("path") or "model").rpartition("/")[2]
    place = report.profile
    if report.device is None:
        return f"{name} for {report.target} on {place}: no device"
    cpu = report.device.get("cpu_model")
    return f"{name} for {report.target} on {place}" + (f" ({cpu}, {report.device.get('kind')})" if cpu else "")


def _speed_columns(unit: TimeUnit) -> tuple[tuple[str, Cell], ...]:
    return (
        (f"p50 {unit.name} [95%]", lambda row: unit.with_interval(row.latency_s)),
        (f"p90 {unit.name}", lambda row: unit.value(row.latency_s.p90 if row.latency_s else None)),
        ("speed-up [95%]", lambda row: ratio_with_interval(row.speedup_vs_reference)),
        ("memory", lambda row: size(row.peak_memory_bytes)),
    )


def _print_tables(report: DeployReport, console: Console) -> None:
    if all(row.stage == "rejected" for row in report.candidates):
        return  # the reasons below are all that there is
    speed = _speed_columns(time_unit(row.latency_s for row in report.candidates))
    if console.width >= WIDE_COLUMNS:
        console.print(_table(report, (*speed, *QUALITY)))
    else:
        console.print(_table(report, speed))
        console.print()
        console.print(_table(report, QUALITY))


def _table(report: DeployReport, columns: Sequence[tuple[str, Cell]]) -> Table:
    """One row a candidate. A column in which nothing was measured at all is left out; the reason is given below the tables."""
    rows = [row for row in report.candidates if row.stage != "rejected"]
    shown = [(heading, cell) for heading, cell in columns if any(cell(row) != NOT_MEASURED for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("candidate", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for heading, _ in shown:
        add_number_column(table, heading)
    for row in rows:
        word = _word(report, row)
        cells = [Text(one_line(cell(row))) for _, cell in shown]
        table.add_row(Text(one_line(row.id)), Text(word, style=STYLES[word]), *cells)
    return table


def _word(report: DeployReport, row: CandidateReport) -> str:
    if report.winner is not None and row.id == report.winner.id:
        return "winner"
    if row.accepted:
        return "not faster" if row.reason else "accepted"
    if row.stage == "built" and row.fidelity is not None:
        return "not scored"  # it ran, and nothing more is known against it than its reason says
    return "not tried" if row.stage == "rejected" else "refused"


def _agreement(row: CandidateReport) -> str:
    if row.agreement is None:
        return NOT_MEASURED
    return fraction(row.agreement.value) + (" synthetic" if row.agreement.synthetic else "")


def _metric(quality: Fidelity | None) -> str:
    if quality is None or quality.metric is None:
        return NOT_MEASURED
    return f"{fraction(quality.metric_float)} -> {fraction(quality.metric)}"


def _print_variants(report: DeployReport, console: Console) -> None:
    """What the hash behind a candidate's name stands for."""
    for row in report.candidates:
        settings = _settings(row.candidate)
        if "~" in row.id and row.stage != "rejected" and settings:
            say(console, f"{row.id} is {row.scheme} with {', '.join(settings)}", style="dim", hanging=2)


def _settings(candidate: Candidate) -> list[str]:
    """Everything in which a candidate differs from its scheme's defaults."""
    default = type(candidate.scheme)(candidate.scheme.slug) if isinstance(candidate.scheme, Vendor) else type(candidate.scheme)()
    changed = [
        f"{field.name} {getattr(candidate.scheme, field.name)}"
        for field in fields(candidate.scheme)
        if getattr(candidate.scheme, field.name) != getattr(default, field.name)
    ]
    changed += [f"{name} {value}" for name, value in sorted((candidate.build_options | candidate.run_options).items())]
    if candidate.keep_float:
        changed.append(f"{len(candidate.keep_float)} operators left in float")
    return [one_line(text).replace("_", " ") for text in changed]


def _print_refusals(report: DeployReport, console: Console) -> None:
    """Every candidate that did not make it, with its reason; broken slices are named with their numbers."""
    for row in report.candidates:
        word = _word(report, row)
        if word in ("winner", "accepted"):
            continue
        say(console, f"{word}: {row.id}: {row.reason or 'no reason was recorded'}", style=STYLES[word], hanging=2)
        if row.fidelity is None:
            continue
        for name, part in row.fidelity.slices.items():
            if not part.accepted:
                numbers = (
                    f"{fraction(part.value_float)} -> {fraction(part.value)}, allowed drop {fraction(part.allowed)}, n={part.n}"
                )
                limited = ", limited by its resolution" if part.resolution_limited else ""
                say(console, f"slice {name}: {numbers}{limited}", indent=2, hanging=4)
        if row.explanation:
            say(console, row.explanation, indent=2, hanging=4)
        if row.fidelity.suspicious:
            say(console, f"suspicious: {row.fidelity.suspicious}", indent=2, hanging=4, style="yellow")


def _print_winner(report: DeployReport, console: Console) -> None:
    if report.winner is None:
        say(console, f"No winner: {report.reason}", style="bold red", hanging=2)
        return
    row = report.row(report.winner.id)
    provisional = " (provisional)" if report.winner.provisional else ""
    say(console, f"Winner: {row.id}{provisional}{_gain(row, report.model)}", style="bold green", hanging=2)
    say(console, f"why: {report.reason}", indent=2, hanging=4)
    say(console, "how we know:", indent=2)
    for line in _evidence(report, row):
        say(console, line, indent=4, hanging=6)
    if report.winner.provisional:
        say(console, f"provisional: {_provisional_reason(report, row)}", indent=2, hanging=4, style="yellow")


def _gain(row: CandidateReport, model: Mapping[str, JSON]) -> str:
    parts = []
    if _is_reference(row, model):
        parts.append("the reference itself")
    elif row.speedup_vs_reference is not None:
        parts.append(f"{ratio_with_interval(row.speedup_vs_reference)} the speed of {reference_name(model)}")
    elif row.speedup_vs_own_float is not None:
        parts.append(f"{ratio_with_interval(row.speedup_vs_own_float)} the speed of its own float")
    if row.latency_s is not None:
        parts.append(duration(row.latency_s.p50))
    if row.size_bytes is not None:
        parts.append(size(row.size_bytes))
    return ": " + ", ".join(parts) if parts else ""


def _is_reference(row: CandidateReport, model: Mapping[str, JSON]) -> bool:
    """Of a model in a runtime's own format, which one target takes, that target's float is what all are compared with."""
    is_its_own = model.get("format", "onnx") not in ONNX_FORMATS
    return (is_its_own or row.target == REFERENCE) and row.candidate in [Candidate(row.target, kind()) for kind in (Float32, AsIs)]


def _evidence(report: DeployReport, row: CandidateReport) -> list[str]:
    lines = []
    if row.latency_s is not None:
        loop = f", loop {row.loop}" if row.loop else ""
        why = f" ({row.trust_reason})" if row.trust != "steady" and row.trust_reason else ""
        trust = f", trust: {row.trust}{why}" if row.trust else ""
        shapes = report.timed_input or {}
        on = " on " + ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items()) if shapes else ""
        lines.append(f"speed: {row.latency_s.n} timed inferences{on}, interleaved with every other candidate's{loop}{trust}")
    else:
        lines.append(f"speed: not measured: {row.latency_reason or 'no reason was recorded'}")
    if row.agreement is not None:
        labelled = row.agreement.kind == "predictions"
        source = "synthetic inputs" if row.agreement.synthetic else "labelled samples" if labelled else "held-out inputs"
        judged = f", judged {_JUDGED[row.quality_measured_on]}" if row.quality_measured_on else ""
        lines.append(
            f"agreement: {fraction(row.agreement.value)} with float ({row.agreement.kind}) on {row.agreement.n} {source}{judged}"
        )
    if row.fidelity is not None and row.fidelity.metric is not None:
        data = f"{row.fidelity.n} labelled samples, {report.n_compared} candidates compared"
        lines.append(f"{row.fidelity.metric_name}: {_metric(row.fidelity)} on {data}")
    return [*lines, *energy_lines(row.energy_j, row.energy_reason)]


def _provisional_reason(report: DeployReport, row: CandidateReport) -> str:
    if report.device is None:
        there = ", or run the bundle's deploy-on-device.pyz there," if report.bundle else ""
        return f"no device was measured; deploy again with --device{there} to confirm"
    if report.device.get("kind") != "real":
        kind = "a stand-in" if report.device.get("kind") == "stand-in" else report.device.get("kind")
        return f"measured on a device that is {kind}, not on the real one"
    return row.latency_reason or "not everything was measured on the device"


def _print_baseline(baseline: BaselineReport, console: Console) -> None:
    say(console, f"Baseline: {baseline.summary}", style="bold", hanging=2)
    parts = [f"size {baseline.size_ratio:.2f} of the original's", f"zipped {baseline.zipped_ratio:.2f}"]
    if baseline.speedup is not None:
        parts.insert(0, f"{ratio_with_interval(baseline.speedup)} the original's speed")
    if baseline.metric is not None:
        parts.append(f"metric {fraction(baseline.metric_float)} -> {fraction(baseline.metric)}")
    if baseline.agreement is not None:
        parts.append(f"agreement {fraction(baseline.agreement.value)}")
    say(console, ", ".join(parts), indent=2, hanging=4)
    if baseline.winner_speedup is not None:
        line = f"the winner: {ratio_with_interval(baseline.winner_speedup)} the original's speed"
        if baseline.winner_metric is not None:
            line += f", metric {fraction(baseline.metric_float)} -> {fraction(baseline.winner_metric)}"
        say(console, line, indent=2, hanging=4)


def _print_next(report: DeployReport, console: Console) -> None:
    if report.bundle is None:
        return
    # Not wrapped: a path and a command are there to be copied.
    console.print(Text(f"Bundle: {clean(report.bundle)}"), soft_wrap=True)
    console.print(Text(f"  next: edgekit check {shlex.quote(clean(report.bundle))}"), soft_wrap=True)
    say(console, f"took {report.wall_s:.1f} s", indent=2)
