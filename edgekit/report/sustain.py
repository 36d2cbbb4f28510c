"""A sustained run on the terminal: latency over time, and the first minute beside the last quarter."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..types import Latency, SustainReport, SustainRow
from .paragraph import add_number_column, say
from .text import NOT_MEASURED, TimeUnit, one_line, time_unit

_LEVELS = "▁▂▃▄▅▆▇█"
_MAX_COLUMNS = 30


def print_sustained(report: SustainReport, console: Console) -> None:
    """Prints one row a candidate, then what held the device down and what becomes of the verdict."""
    asked = "" if report.elapsed_s >= 0.9 * report.planned_s else f" of {report.planned_s:.0f} s asked for"
    say(console, f"Sustained for {report.elapsed_s:.0f} s{asked}, candidates in turn", style="bold")
    unit = time_unit(row.first for row in report.rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("candidate", overflow="fold")
    for heading in (f"first {report.first_s:.0f} s p50 {unit.name}", f"last {report.last_s:.0f} s", "change"):
        add_number_column(table, heading)
    table.add_column("over time", no_wrap=True)
    for row in report.rows:
        cells = (_cell(row.first, unit), _cell(row.last, unit), _change(row), _line(row))
        table.add_row(Text(one_line(row.id)), *(Text(cell) for cell in cells))
    console.print(table)
    for row in report.rows:
        if row.failure:
            say(console, f"{row.id} failed: {row.failure}", style="red", hanging=2)
    for what in dict.fromkeys(row.held_down for row in report.rows if row.held_down):
        say(console, f"throttled: {what}", style="yellow", hanging=2)
    temperatures = [bucket.temperature_c for row in report.rows for bucket in row.buckets if bucket.temperature_c is not None]
    if temperatures:
        say(console, f"hottest zone: {min(temperatures):.0f} to {max(temperatures):.0f} degrees Celsius", hanging=2)
    if report.ranking_first != report.ranking_last:
        say(console, f"ranking at first: {', '.join(report.ranking_first)}", hanging=2)
        say(console, f"ranking at last: {', '.join(report.ranking_last)}", hanging=2)
    if report.would_change is not None:
        change = "would be another" if report.would_change else "stays"
        say(console, f"the verdict {change}: {report.reason}", style="yellow" if report.would_change else "", hanging=2)
    elif len(report.rows) > 1:
        say(console, report.reason, hanging=2)


def _cell(latency: Latency | None, unit: TimeUnit) -> str:
    return NOT_MEASURED if latency is None else unit.value(latency.p50)


def _change(row: SustainRow) -> str:
    return NOT_MEASURED if row.first is None or row.last is None else f"{row.last.p50 / row.first.p50 - 1:+.1%}"


def _line(row: SustainRow) -> str:
    """Medians over time as a line of bars: the lowest is the candidate's fastest stretch, the highest half as slow again."""
    medians = [bucket.p50 for bucket in row.buckets]
    if not medians:
        return NOT_MEASURED
    step = -(-len(medians) // _MAX_COLUMNS)
    shown = [sum(medians[start : start + step]) / len(medians[start : start + step]) for start in range(0, len(medians), step)]
    fastest = min(shown)
    levels = (int((value / fastest - 1) / 0.5 * (len(_LEVELS) - 1) + 0.5) for value in shown)
    return "".join(_LEVELS[min(level, len(_LEVELS) - 1)] for level in levels)
