from __future__ import annotations

import io

from rich.console import Console
from support.reports import CONDITIONS, sustained

from edgekit.operator_times import OperatorTime
from edgekit.report.conditions import conditions_line, slowest_operators
from edgekit.report.sustain import print_sustained
from edgekit.types import ConditionSummary


def test_a_sustained_run_on_the_terminal() -> None:
    text = io.StringIO()
    print_sustained(sustained(), Console(file=text, width=100, markup=False))
    shown = " ".join(text.getvalue().split())
    assert "Sustained for 600 s" in shown
    assert "first 60 s p50 ms" in shown
    assert "+100.0%" in shown
    assert "onnx/float16 failed: crash: it ended" in shown
    assert "throttled: the clock fell from 2.40 to 1.80 GHz" in shown
    assert "hottest zone: 45 to 104 degrees Celsius" in shown
    assert "ranking at last: onnx/int8, onnx/float32" in shown
    assert "the verdict would be another: in the last quarter onnx/int8 is 2.00x" in shown
    assert "▁" in shown
    assert "█" in shown


def test_conditions_in_a_line() -> None:
    assert conditions_line(CONDITIONS) == (
        "clock 1.50 to 2.40 GHz, governor ondemand, 44 to 62 degrees Celsius, others took 1% of its CPUs, "
        "it waited 0% of the time, throttled: get_throttled; not read: pressure"
    )
    assert conditions_line(ConditionSummary(None, None, None, None, None, None)) == "nothing could be read"


def test_the_slowest_operators() -> None:
    layers = [OperatorTime(f"n{n}", "Conv", (20 - n) * 1e-3, 1) for n in range(12)]
    lines = list(slowest_operators(layers))
    assert len(lines) == 11
    assert lines[0] == "11% 20.0 ms Conv n0"
    assert lines[-1] == "and 2 more: 19.0 ms"
