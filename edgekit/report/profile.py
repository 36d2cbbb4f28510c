"""What was measured of a model or bundle as it is, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .conditions import conditions_line, slowest_operators
from .energy import energy_lines
from .paragraph import add_number_column, say
from .sustain import print_sustained
from .text import MILLISECONDS, one_line, size, time_unit

if TYPE_CHECKING:
    from ..profiling import ProfileReport


def print_profile(report: ProfileReport, console: Console, *, asked_for_layers: bool = False) -> None:
    """Prints one row a target, then how far each number can be trusted and what failed."""
    name = report.model.get("name") or "model"
    cpu = report.device.get("cpu_model") or report.device.get("name")
    say(console, f"{name} on {cpu}, {report.threads} thread{'s' if report.threads > 1 else ''}, {report.input} input", style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("artifact", overflow="fold")
    unit = time_unit(row.latency_s for row in report.rows)
    for heading in (f"p50 {unit.name} [95%]", f"p90 {unit.name}", "load ms", "first ms", "memory", "size"):
        add_number_column(table, heading)
    for row in report.rows:
        cells = (
            unit.with_interval(row.latency_s),
            unit.value(row.latency_s.p90 if row.latency_s else None),
            MILLISECONDS.value(row.load_s),
            MILLISECONDS.value(row.first_inference_s),
            size(row.peak_memory_bytes),
            size(row.size_bytes),
        )
        table.add_row(Text(one_line(row.id)), *(Text(cell) for cell in cells))
    console.print(table)
    for warning in report.warnings:
        say(console, f"warning: {warning}", style="yellow", hanging=2)
    for row in report.rows:
        if row.failure:
            say(console, f"{row.id} failed: {row.failure}", style="red", hanging=2)
        elif row.latency_s is not None:
            why = f": {row.trust_reason}" if row.trust_reason else ""
            say(console, f"{row.id}: {row.latency_s.n} timed inferences, trust: {row.trust}{why}", hanging=2)
            if row.conditions is not None:
                say(console, f"conditions: {conditions_line(row.conditions)}", indent=2, hanging=4)
        for line in energy_lines(row.energy_j, row.energy_reason) if not row.failure else []:
            say(console, line, indent=2, hanging=4)
        if row.layers is not None:
            say(console, f"slowest of {len(row.layers)} operators, timed by themselves:", indent=2)
            for line in slowest_operators(row.layers):
                say(console, line, indent=4, hanging=6)
        elif asked_for_layers and not row.failure:
            say(console, f"operators: not timed: {row.layers_reason}", indent=2, hanging=4)
    if report.sustain is not None:
        print_sustained(report.sustain, console)
