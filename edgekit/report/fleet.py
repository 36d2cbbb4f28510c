"""One row a device: what ``deploy`` and ``profile`` found on several at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .paragraph import add_number_column, say
from .text import NOT_MEASURED, clean, fraction, one_line, ratio_with_interval, size, time_unit

if TYPE_CHECKING:
    from ..fleet import DeviceRun, FleetReport
    from ..profiling import ProfileRow
    from ..types import CandidateReport, DeployReport

Row = Any  # a CandidateReport, or a ProfileRow: both have an id, a latency, a size and a peak of memory


def print_fleet(fleet: FleetReport[Any], console: Console) -> None:
    """Prints the table, then why a device has failed, what there is to be wary of, and where the bundles are."""
    shown = {run.device: _row(run) for run in fleet.runs}
    unit = time_unit(row.latency_s for row in shown.values() if row is not None)
    columns: list[tuple[str, Callable[[Row], str]]] = [
        (f"p50 {unit.name} [95%]", lambda row: unit.with_interval(row.latency_s)),
        ("speed-up [95%]", lambda row: ratio_with_interval(getattr(row, "speedup_vs_reference", None))),
        ("agreement", _agreement),
        ("memory", lambda row: size(row.peak_memory_bytes)),
        ("size", lambda row: size(row.size_bytes)),
    ]
    used = [(name, cell) for name, cell in columns if any(row is not None and cell(row) != NOT_MEASURED for row in shown.values())]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("device", overflow="fold")
    table.add_column("result", overflow="fold")
    for heading, _ in used:
        add_number_column(table, heading)
    for run in fleet.runs:
        row = shown[run.device]
        cells = [NOT_MEASURED if row is None else cell(row) for _, cell in used]
        table.add_row(Text(one_line(run.device)), _result(run, row), *(Text(one_line(cell)) for cell in cells))
    console.print(table)
    for run in fleet.runs:
        _print_remarks(run, console)


def _row(run: DeviceRun[Any]) -> CandidateReport | ProfileRow | None:
    """What stands for a device: the winner, or of a profile the fastest."""
    report = run.report
    if report is None:
        return None
    if hasattr(report, "rows"):
        measured: list[ProfileRow] = [row for row in report.rows if row.latency_s is not None]
        return min(measured, key=lambda row: row.latency_s.p50 if row.latency_s else 0.0, default=None)
    verdict: DeployReport = report
    return verdict.row(verdict.winner.id) if verdict.winner is not None else None


def _result(run: DeviceRun[Any], row: Row | None) -> Text:
    if run.error is not None:
        return Text(f"failed ({run.error.exit_code})", style="red")
    if row is None:
        return Text("nothing was built", style="dim")
    provisional = getattr(run.report, "winner", None) is not None and run.report is not None and run.report.winner.provisional
    return Text(one_line(row.id) + (" (provisional)" if provisional else ""), style="green")


def _agreement(row: Row) -> str:
    agreement = getattr(row, "agreement", None)
    return NOT_MEASURED if agreement is None else fraction(agreement.value)


def _print_remarks(run: DeviceRun[Any], console: Console) -> None:
    if run.error is not None:
        say(console, f"{run.device} failed: {run.error}", style="red", hanging=2)
        return
    assert run.report is not None
    for warning in run.report.warnings:
        say(console, f"{run.device}: warning: {warning}", style="yellow", hanging=2)
    bundle = getattr(run.report, "bundle", None)
    if bundle is not None:
        console.print(Text(f"{clean(run.device)}: {clean(bundle)}"), soft_wrap=True)  # a path is there to be copied
