"""The search as a drawing: how close to float every measured candidate is, against how long it takes.

Made with altair and rendered without a browser or a network. Shapes differ as colours do, and the colours in lightness, so that a
printed page says the same. Names come from models and devices: they are data of the chart, cleaned here and escaped by the
renderer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DependencyError, MissingExtraError
from ..types import DeployReport
from .text import one_line, ratio_with_interval, reference_name
from .trail_points import LEAST_DB, MOST_DB, Axis, Label, Outcome, Point, axes_and_points, labels, measured

WIDTH_PX, HEIGHT_PX = 680, 400
FONT = "sans-serif"
STAR = "M0,-1.2L0.27,-0.37L1.14,-0.37L0.44,0.14L0.71,0.97L0,0.46L-0.71,0.97L-0.44,0.14L-1.14,-0.37L-0.27,-0.37Z"


@dataclass(frozen=True)
class Mark:
    """How one outcome is drawn, and what the legend calls it."""

    legend: str
    shape: str
    fill: str
    outline: str
    size: int


#: The colours are Okabe and Ito's, told apart by all kinds of eyes.
MARKS: dict[Outcome, Mark] = {
    "winner": Mark("winner", STAR, "#009e73", "#000000", 170),
    "float": Mark("full precision", "diamond", "#ffffff", "#000000", 110),
    "accepted": Mark("holds every gate", "circle", "#56b4e9", "#1c5a80", 80),
    "refused": Mark("refused", "cross", "#d55e00", "#8a3c00", 80),
}


def has_trail(report: DeployReport) -> bool:
    """Whether anything was measured, so that there is something to draw."""
    return bool(measured(report))


def draw_trail(report: DeployReport) -> str:
    """An SVG of all candidates of ``report`` that were measured, one at least; the same report gives the same text.

    The vertical axis is the SQNR in dB of the held-out outputs, and 1 - agreement where no output has one; candidates without
    either are left out. Names stand where they cover nothing.

    Raises:
        MissingExtraError: altair or vl-convert-python is not installed.
        DependencyError: these versions of them do not render the chart.
    """
    try:
        import altair
        import vl_convert
    except ImportError as problem:
        raise MissingExtraError(problem.name or "altair", "charts", "the drawing of the search") from problem
    x, y, points = axes_and_points(report, WIDTH_PX, HEIGHT_PX)
    chart = (
        altair.layer(
            _intervals(altair, points, x, y),
            _marks(altair, points, x, y),
            *(_label(altair, label) for label in labels(points, x, y)),
        )
        .properties(width=WIDTH_PX, height=HEIGHT_PX, title=_title(altair, report))
        .configure(font=FONT, background="#ffffff")
        .configure_axis(grid=True, gridColor="#e6e6e6", labelColor="#222222", titleColor="#222222", titleFontWeight="normal")
        .configure_view(stroke="#888888")
    )
    try:
        return str(vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[]))
    except ValueError as problem:  # the only class that the renderer raises
        raise DependencyError("vl-convert-python does not render the chart", why=str(problem)[:300]) from problem


def _intervals(altair: Any, points: Sequence[Point], x: Axis, y: Axis) -> Any:
    chart = altair.Chart(altair.Data(values=_values(points))).mark_rule(color="#777777", strokeWidth=1)
    return chart.encode(x=_x(altair, x, "low"), x2="high:Q", y=_y(altair, y))


def _marks(altair: Any, points: Sequence[Point], x: Axis, y: Axis) -> Any:
    present = [outcome for outcome in MARKS if any(point.outcome == outcome for point in points)]
    names = [MARKS[outcome].legend for outcome in present]

    def by_outcome(channel: Any, values: list[Any]) -> Any:
        legend = altair.Legend(title=None, orient="bottom", labelFontSize=12)
        return channel("outcome:N", scale=altair.Scale(domain=names, range=values), legend=legend)

    chart = altair.Chart(altair.Data(values=_values(points))).mark_point(strokeWidth=1.2, opacity=1, fillOpacity=1)
    return chart.encode(
        x=_x(altair, x, "latency"),
        y=_y(altair, y),
        shape=by_outcome(altair.Shape, [MARKS[outcome].shape for outcome in present]),
        fill=by_outcome(altair.Fill, [MARKS[outcome].fill for outcome in present]),
        stroke=by_outcome(altair.Stroke, [MARKS[outcome].outline for outcome in present]),
        size=by_outcome(altair.Size, [MARKS[outcome].size for outcome in present]),
    )


def _label(altair: Any, label: Label) -> Any:
    """A text at a place in pixels: its side differs from one to the next, so each is a mark of its own."""
    mark = {"align": label.align, "baseline": "middle", "fontSize": 11, "color": "#222222"}
    chart = altair.Chart(altair.Data(values=[{"name": label.text}])).mark_text(**mark)
    return chart.encode(x=altair.value(label.x), y=altair.value(label.y), text="name:N")


def _values(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The data of the chart, the winner last, so that it is drawn over all others."""
    order = list(reversed(MARKS))
    return [
        {
            "outcome": MARKS[point.outcome].legend,
            "latency": point.latency,
            "low": point.low,
            "high": point.high,
            "closeness": point.closeness,
        }
        for point in sorted(points, key=lambda point: order.index(point.outcome))
    ]


def _x(altair: Any, axis: Axis, field: str) -> Any:
    scale = altair.Scale(domain=list(axis.domain), type="log" if axis.logarithmic else "linear", nice=False, zero=False)
    return altair.X(f"{field}:Q", title=axis.title, scale=scale, axis=altair.Axis(tickCount=8, format="~g"))


def _y(altair: Any, axis: Axis) -> Any:
    """The end of the axis of decibels says that more is drawn there too."""
    expression = f"datum.value == {MOST_DB:g} ? '≥ {MOST_DB:g}' : datum.value == {LEAST_DB:g} ? '≤ {LEAST_DB:g}' : datum.label"
    decibels = {"values": list(range(int(LEAST_DB), int(MOST_DB) + 1, 10)), "labelExpr": expression} if axis.reverse else {}
    scale = altair.Scale(domain=list(axis.domain), nice=False, zero=False, reverse=not axis.reverse)
    return altair.Y("closeness:Q", title=axis.title, scale=scale, axis=altair.Axis(**decibels))


def _title(altair: Any, report: DeployReport) -> Any:
    name = one_line(report.model.get("name") or "model")
    return altair.Title(
        f"{name} for {one_line(report.target)} on {one_line(report.profile)}",
        subtitle=_subtitle(report),
        anchor="start",
        fontSize=14,
        subtitleFontSize=12,
        subtitleColor="#444444",
        limit=WIDTH_PX,
    )


def _subtitle(report: DeployReport) -> str:
    n = f"{len(measured(report))} candidates measured"
    if report.winner is None:
        return f"{n}, none accepted"
    speed = report.row(report.winner.id).speedup_vs_reference
    gain = f", {ratio_with_interval(speed)} the speed of {reference_name(report.model)}" if speed is not None else ""
    return f"{n}; winner {one_line(report.winner.id)}{gain}"
