"""What the drawing of a search shows: every measured candidate as a point, and a label where there is room for one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..schemes import AsIs, Float32
from ..types import CandidateReport, DeployReport
from .text import TimeUnit, one_line, time_unit

Outcome = Literal["float", "refused", "accepted", "winner"]

MOST_DB, LEAST_DB = 60.0, 0.0  # beyond both, the difference no longer matters; full precision would squeeze all else together
LOG_FROM = 4.0  # latencies that differ by more than this factor are drawn on a logarithmic axis
LETTER_PX, LINE_PX, GAP_PX = 6.2, 14.0, 3.0  # of a label of 11 px; of a letter the mean width
MARK_PX = 6.0  # half of a symbol
LONGEST_LABEL = 40


@dataclass(frozen=True)
class Axis:
    """A quantity along one side of the drawing; ``pixels`` from its start to its end."""

    title: str
    domain: tuple[float, float]
    pixels: float
    logarithmic: bool = False
    reverse: bool = False

    def position(self, value: float) -> float:
        """Pixels from the start of the axis."""
        low, high = self.domain
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low)
        return self.pixels * (1 - share if self.reverse else share)


@dataclass(frozen=True)
class Point:
    """One candidate. ``latency``, ``low``, ``high``: its median and the 95 % interval in the axis's unit."""

    name: str
    outcome: Outcome
    latency: float
    low: float
    high: float
    closeness: float


@dataclass(frozen=True)
class Label:
    """``align``: which side of the text is at ``x``; both in pixels from the upper left corner."""

    text: str
    x: float
    y: float
    align: Literal["left", "right", "center"]


def measured(report: DeployReport) -> list[CandidateReport]:
    return [row for row in report.candidates if row.latency_s is not None]


def axes_and_points(report: DeployReport, width_px: float, height_px: float) -> tuple[Axis, Axis, list[Point]]:
    """The axes and the points; one row at least was measured.

    Closeness is the SQNR where any output has one, and otherwise 1 - agreement; the better is above either way.
    """
    rows = measured(report)
    assert rows, "nothing was measured"
    unit = time_unit(row.latency_s for row in rows)
    in_decibels = any(row.fidelity is not None and row.fidelity.sqnr_db is not None for row in rows)
    points = [point for row in rows if (point := _point(row, report, unit, in_decibels=in_decibels)) is not None]
    return _time_axis(points, unit, width_px), _closeness_axis(points, height_px, in_decibels=in_decibels), points


def _point(row: CandidateReport, report: DeployReport, unit: TimeUnit, *, in_decibels: bool) -> Point | None:
    """None for a candidate of which only the speed is known."""
    assert row.latency_s is not None
    closeness = _decibels(row) if in_decibels else _disagreement(row)
    if closeness is None:
        return None
    low, high = row.latency_s.ci95
    times = (row.latency_s.p50 * unit.per_second, low * unit.per_second, high * unit.per_second)
    return Point(one_line(row.id), _outcome(row, report), *times, closeness)


def _decibels(row: CandidateReport) -> float | None:
    """Inside the axis: exact outputs are at its upper end, broken ones at its lower."""
    if row.fidelity is None:
        return None
    if row.fidelity.sqnr_db is None:
        return MOST_DB if row.fidelity.cosine == 1 else LEAST_DB
    return min(MOST_DB, max(LEAST_DB, row.fidelity.sqnr_db))


def _disagreement(row: CandidateReport) -> float | None:
    return None if row.agreement is None else 1 - row.agreement.value


def _outcome(row: CandidateReport, report: DeployReport) -> Outcome:
    if report.winner is not None and row.id == report.winner.id:
        return "winner"
    if isinstance(row.candidate.scheme, (Float32, AsIs)):
        return "float"
    return "accepted" if row.accepted else "refused"


def _time_axis(points: Sequence[Point], unit: TimeUnit, pixels: float) -> Axis:
    low, high = min((p.low for p in points), default=1.0), max((p.high for p in points), default=2.0)
    title = f"latency, median and 95 % interval ({unit.name})"
    if high > LOG_FROM * low > 0:
        return Axis(title, (low / 1.2, high * 1.2), pixels, logarithmic=True)
    margin = 0.12 * (high - low) or 0.1 * high
    return Axis(title, (max(0.0, low - margin), high + margin), pixels)


def _closeness_axis(points: Sequence[Point], pixels: float, *, in_decibels: bool) -> Axis:
    """Screen positions grow downwards: decibels are reversed, disagreement is not."""
    if in_decibels:
        return Axis("closeness to float: SQNR (dB)", (LEAST_DB - 2, MOST_DB + 3), pixels, reverse=True)
    most = max((p.closeness for p in points), default=0.0) or 0.01
    return Axis("difference from float: 1 - agreement", (-0.05 * most, 1.08 * most), pixels)


# ---------------------------------------------------------------- labels
def labels(points: Sequence[Point], x: Axis, y: Axis) -> list[Label]:
    """Names of the points, the most telling first, each where it covers neither a point nor another name; else it has none."""
    taken = [_mark(point, x, y) for point in points]
    placed = []
    for point in sorted(points, key=lambda p: _rank(p, points)):
        found = _place(point, x, y, taken)
        if found is not None:
            label, box = found
            taken.append(box)
            placed.append(label)
    return placed


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _mark(point: Point, x: Axis, y: Axis) -> Box:
    """The symbol with its interval."""
    middle, top = x.position(point.latency), y.position(point.closeness)
    left, right = x.position(point.low) if point.low > 0 else 0.0, x.position(point.high)
    return min(left, middle - MARK_PX), top - MARK_PX, max(right, middle + MARK_PX), top + MARK_PX


def _rank(point: Point, points: Sequence[Point]) -> tuple[int, float]:
    """The winner, float, those that nothing beats in both, then the faster ones."""
    beaten = any(
        other.latency < point.latency and abs(other.closeness - point.closeness) < 1e-12 for other in points if other is not point
    )
    order = {"winner": 0, "float": 1, "accepted": 2, "refused": 3}[point.outcome]
    return order + 4 * beaten, point.latency


def _place(point: Point, x: Axis, y: Axis, taken: Sequence[Box]) -> tuple[Label, Box] | None:
    text = point.name if len(point.name) <= LONGEST_LABEL else f"{point.name[: LONGEST_LABEL - 1]}…"
    width, middle = len(text) * LETTER_PX, x.position(point.latency)
    left, upper, right, lower = _mark(point, x, y)
    top = (upper + lower) / 2
    for align, at_x, at_y, start in (
        ("left", right + GAP_PX, top, right + GAP_PX),
        ("right", left - GAP_PX, top, left - GAP_PX - width),
        ("center", middle, top - LINE_PX, middle - width / 2),
        ("center", middle, top + LINE_PX, middle - width / 2),
    ):
        box = (start, at_y - LINE_PX / 2, start + width, at_y + LINE_PX / 2)
        inside = box[0] >= 0 and box[2] <= x.pixels and box[1] >= 0 and box[3] <= y.pixels
        if inside and not any(_overlap(box, other) for other in taken):
            return Label(text, at_x, at_y, align), box  # type: ignore[arg-type]  # of a tuple of literals mypy keeps str
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
