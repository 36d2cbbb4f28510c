"""The search as a drawing: how close to float every measured candidate is, against how long it takes.

A Vega-Lite chart, rendered by vl-convert without a browser or a network. Shapes differ as colours do, and the colours in
lightness, so that a printed page says the same. Names come from models and devices: they are data of the chart, cleaned here and
escaped by the renderer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DependencyError, MissingExtraError
from ..types import DeployReport
from .text import one_line, ratio_with_interval, reference_name
from .trail_points import LEAST_DB, MOST_DB, Axis, Label, Outcome, Point, axes_and_points, labels, measured

Spec = dict[str, Any]  # of Vega-Lite: plain data, so that a run need not wait seconds for the import of a library that writes it

WIDTH_PX, HEIGHT_PX = 680, 400
FONT = "sans-serif"
AXIS_TEXT = ("labelColor", "titleColor")
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
        MissingExtraError: vl-convert-python is not installed.
        DependencyError: this version of it does not render the chart.
    """
    try:
        import vl_convert
    except ImportError as problem:
        raise MissingExtraError("vl-convert-python", "charts", "the drawing of the search") from problem
    x, y, points = axes_and_points(report, WIDTH_PX, HEIGHT_PX)
    chart: Spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": WIDTH_PX,
        "height": HEIGHT_PX,
        "title": _title(report),
        "layer": [_intervals(points, x, y), _marks(points, x, y), *(_label(label) for label in labels(points, x, y))],
        "config": {
            "font": FONT,
            "background": "#ffffff",
            "axis": {
                "grid": True,
                "gridColor": "#e6e6e6",
                "labelColor": "#222222",
                "titleColor": "#222222",
                "titleFontWeight": "normal",
            },
            "view": {"stroke": "#888888"},
        },
    }
    try:
        return str(vl_convert.vegalite_to_svg(chart, allowed_base_urls=[]))
    except ValueError as problem:  # the only class that the renderer raises
        raise DependencyError("vl-convert-python does not render the chart", why=str(problem)[:300]) from problem


def _intervals(points: Sequence[Point], x: Axis, y: Axis) -> Spec:
    return {
        "data": {"values": _values(points)},
        "mark": {"type": "rule", "color": "#777777", "strokeWidth": 1},
        "encoding": {"x": _x(x, "low"), "x2": {"field": "high"}, "y": _y(y)},
    }


def _marks(points: Sequence[Point], x: Axis, y: Axis) -> Spec:
    present = [MARKS[outcome] for outcome in MARKS if any(point.outcome == outcome for point in points)]
    names = [mark.legend for mark in present]

    def by_outcome(values: list[Any]) -> Spec:
        legend = {"title": None, "orient": "bottom", "labelFontSize": 12}
        return {"field": "outcome", "type": "nominal", "scale": {"domain": names, "range": values}, "legend": legend}

    return {
        "data": {"values": _values(points)},
        "mark": {"type": "point", "strokeWidth": 1.2, "opacity": 1, "fillOpacity": 1},
        "encoding": {
            "x": _x(x, "latency"),
            "y": _y(y),
            "shape": by_outcome([mark.shape for mark in present]),
            "fill": by_outcome([mark.fill for mark in present]),
            "stroke": by_outcome([mark.outline for mark in present]),
            "size": by_outcome([mark.size for mark in present]),
        },
    }


def _label(label: Label) -> Spec:
    """A text at a place in pixels: its side differs from one to the next, so each is a mark of its own."""
    return {
        "data": {"values": [{"name": label.text}]},
        "mark": {"type": "text", "align": label.align, "baseline": "middle", "fontSize": 11, "color": "#222222"},
        "encoding": {"x": {"value": label.x}, "y": {"value": label.y}, "text": {"field": "name", "type": "nominal"}},
    }


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


def _x(axis: Axis, field: str) -> Spec:
    scale = {"domain": list(axis.domain), "type": "log" if axis.logarithmic else "linear", "nice": False, "zero": False}
    ticks = {"tickCount": 8, "format": "~g"}
    return {"field": field, "type": "quantitative", "title": axis.title, "scale": scale, "axis": ticks}


def _y(axis: Axis) -> Spec:
    """The end of the axis of decibels says that more is drawn there too."""
    expression = f"datum.value == {MOST_DB:g} ? '≥ {MOST_DB:g}' : datum.value == {LEAST_DB:g} ? '≤ {LEAST_DB:g}' : datum.label"
    decibels = {"values": list(range(int(LEAST_DB), int(MOST_DB) + 1, 10)), "labelExpr": expression} if axis.reverse else {}
    scale = {"domain": list(axis.domain), "nice": False, "zero": False, "reverse": not axis.reverse}
    return {"field": "closeness", "type": "quantitative", "title": axis.title, "scale": scale, "axis": decibels}


def _title(report: DeployReport) -> Spec:
    name = one_line(report.model.get("name") or "model")
    return {
        "text": f"{name} for {one_line(report.target)} on {one_line(report.profile)}",
        "subtitle": _subtitle(report),
        "anchor": "start",
        "fontSize": 14,
        "subtitleFontSize": 12,
        "subtitleColor": "#444444",
        "limit": WIDTH_PX,
    }


def _subtitle(report: DeployReport) -> str:
    n = f"{len(measured(report))} candidates measured"
    if report.winner is None:
        return f"{n}, none accepted"
    speed = report.row(report.winner.id).speedup_vs_reference
    gain = f", {ratio_with_interval(speed)} the speed of {reference_name(report.model)}" if speed is not None else ""
    return f"{n}; winner {one_line(report.winner.id)}{gain}"
