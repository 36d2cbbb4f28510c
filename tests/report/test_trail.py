"""The drawing of a search: which candidates, how they are told apart, that names are data, that it is the same every time."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from support.reports import FLOAT, STATIC, full_report, row

from edgekit import api
from edgekit.errors import MissingExtraError
from edgekit.report.trail import draw_trail, has_trail
from edgekit.report.trail_points import axes_and_points, labels
from edgekit.schemes import Float32, Int8Static, Vendor
from edgekit.types import Agreement, Candidate, CandidateReport, DeployReport, Fidelity, Latency, Winner

OPENVINO = Candidate("openvino", Float32())


def measured(candidate: Candidate, ms: float, sqnr_db: float | None, *, accepted: bool, **fields: Any) -> CandidateReport:
    seconds = ms / 1e3
    latency = Latency(seconds, seconds, seconds, seconds, seconds, 100, (0.98 * seconds, 1.03 * seconds))
    fidelity = Fidelity(sqnr_db, 1.0 if sqnr_db is None else 0.99, 0.99)
    return replace(row(candidate, accepted=accepted), **({"latency_s": latency, "fidelity": fidelity} | fields))


def report(*rows: CandidateReport, winner: str | None = None) -> DeployReport:
    return replace(full_report(), candidates=rows, winner=Winner(winner, provisional=False) if winner else None)


SEARCH = report(
    measured(FLOAT, 30, None, accepted=True),
    measured(OPENVINO, 20, 108, accepted=True),
    measured(STATIC, 12, 9, accepted=False),
    measured(Candidate("onnx", Int8Static()), 15, 21, accepted=True),
    measured(Candidate("openvino", Int8Static()), 9, 24, accepted=True),
    replace(row(Candidate("openvino", Int8Static("percentile")), accepted=False), latency_s=None),
    winner="openvino/int8",
)


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def symbols(svg: str) -> Counter[str]:
    """How often each fill is drawn in the chart itself."""
    marks = next(
        element
        for element in ElementTree.fromstring(svg).iter()
        if "mark-symbol" in element.get("class", "") and "layer_1" in element.get("class", "")
    )
    return Counter(path.get("fill", "") for path in marks)


def test_every_measured_candidate_is_told_apart() -> None:
    svg = draw_trail(SEARCH)
    assert symbols(svg) == {"#009e73": 1, "#ffffff": 2, "#56b4e9": 1, "#d55e00": 1}
    shown = texts(svg)
    assert {"winner", "full precision", "holds every gate", "refused"} <= set(shown)
    assert "latency, median and 95 % interval (ms)" in shown
    assert "closeness to float: SQNR (dB)" in shown
    assert {"≥ 60", "≤ 0", "onnx/float32", "openvino/int8", "net.onnx for onnx on generic-x86-64"} <= set(shown)
    assert any(text.startswith("5 candidates measured; winner openvino/int8, 2.00x [1.90..2.10]") for text in shown)


def test_the_legend_has_only_what_is_there() -> None:
    shown = texts(draw_trail(report(measured(FLOAT, 0.5, None, accepted=True), measured(STATIC, 0.4, 30, accepted=False))))
    assert "refused" in shown
    assert "holds every gate" not in shown
    assert "latency, median and 95 % interval (µs)" in shown
    assert "2 candidates measured, none accepted" in shown


def test_the_same_report_gives_the_same_text() -> None:
    assert draw_trail(SEARCH) == draw_trail(SEARCH)


def test_without_any_sqnr_the_axis_is_the_agreement() -> None:
    integer = {"fidelity": Fidelity(None, None, 0.9), "agreement": Agreement(0.9, "argmax", 48)}
    exact = {"fidelity": Fidelity(None, None, 1.0), "agreement": Agreement(1.0, "argmax", 48)}
    found = report(measured(FLOAT, 3, None, accepted=True, **exact), measured(STATIC, 2, None, accepted=False, **integer))
    assert "difference from float: 1 - agreement" in texts(draw_trail(found))
    _, y, (best, worst) = axes_and_points(found, 100, 100)
    assert y.position(best.closeness) < y.position(worst.closeness)  # the better is above


def test_broken_outputs_are_at_the_lower_end() -> None:
    broken = measured(STATIC, 2, None, accepted=False, fidelity=Fidelity(None, None, 0.0))
    _, y, (exact, worst) = axes_and_points(report(measured(FLOAT, 3, 25, accepted=True), broken), 100, 100)
    assert worst.closeness == 0
    assert y.position(exact.closeness) < y.position(worst.closeness)


def test_names_are_data() -> None:
    hostile = Candidate("onnx", Vendor('</text><script>alert("1")</script>&\x1b[31m\n'))
    found = replace(report(measured(FLOAT, 3, None, accepted=True), measured(hostile, 2, 20, accepted=True)), profile="<b>&")
    svg = draw_trail(found)
    assert not [element for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("script")]
    assert "\x1b" not in svg
    assert any("<script>" in text for text in texts(svg))
    assert "net.onnx for onnx on <b>&" in texts(svg)


def test_labels_cover_neither_points_nor_each_other() -> None:
    rows = [
        measured(Candidate("onnx", Int8Static(), frozenset({str(index)})), 10 + index % 7, 10 + index % 5 * 2, accepted=True)
        for index in range(60)
    ]
    x, y, points = axes_and_points(report(measured(FLOAT, 30, None, accepted=True), *rows), 680, 400)
    placed = labels(points, x, y)
    assert 0 < len(placed) < len(points)
    assert placed[0].text == "onnx/float32"
    for one, other in combinations(placed, 2):
        assert abs(one.y - other.y) >= 13 or abs(one.x - other.x) >= 20


def test_what_differs_much_is_drawn_on_a_logarithmic_axis() -> None:
    near, _, _ = axes_and_points(report(measured(FLOAT, 3, None, accepted=True), measured(STATIC, 2, 20, accepted=False)), 100, 100)
    far, _, _ = axes_and_points(report(measured(FLOAT, 30, None, accepted=True), measured(STATIC, 2, 20, accepted=False)), 100, 100)
    assert (near.logarithmic, far.logarithmic) == (False, True)
    assert far.position(30) - far.position(15) == pytest.approx(far.position(4) - far.position(2))


def test_one_candidate_alone_can_be_drawn() -> None:
    assert "onnx/float32" in texts(draw_trail(report(measured(FLOAT, 3, None, accepted=True), winner="onnx/float32")))


def test_without_a_measurement_there_is_nothing_to_draw() -> None:
    unmeasured = report(replace(row(FLOAT, accepted=True), latency_s=None))
    assert not has_trail(unmeasured)
    assert api._drawn(unmeasured) == (None, ())


def test_without_the_extra_there_is_a_note_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match="vl-convert-python"):
        draw_trail(SEARCH)
    drawing, (note,) = api._drawn(SEARCH)
    assert drawing is None
    assert note.startswith("the bundle has no drawing of the search: vl-convert-python is not installed")
    assert "edgekit-sdk[charts]" in note
