from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from edgekit.progress import Progress
from edgekit.report.progress import progress_on


def tell(progress: Progress) -> None:
    progress.stage("building [bold]candidates[/bold]")
    for done in range(4):
        progress.advance(done, 3, f"onnx/int8 \x1b[2J{done}")
    progress.note("something to read")
    progress.stage("measuring")


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, width=80, markup=False, emoji=False, highlight=False), stream


def test_without_a_terminal_every_stage_is_a_plain_line() -> None:
    target, stream = console(terminal=False)
    with progress_on(target) as progress:
        tell(progress)
    assert stream.getvalue().splitlines() == ["building [bold]candidates[/bold]", "note: something to read", "measuring"]


def test_long_stages_without_a_terminal_say_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.report.progress.PLAIN_INTERVAL_S", 0.0)
    target, stream = console(terminal=False)
    with progress_on(target) as progress:
        tell(progress)
    assert "  1/3 onnx/int8 \ufffd[2J1" in stream.getvalue().splitlines()


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end_and_no_thread() -> None:
    target, stream = console(terminal=True)
    before = threading.active_count()
    with progress_on(target) as progress:
        tell(progress)
        assert threading.active_count() == before  # nothing wakes up beside a measurement
    text = stream.getvalue()
    assert "building [bold]candidates[/bold]" in text
    assert "3/3" in text
    assert "note: something to read" in text
    assert "\x1b[2J" not in text


def test_verbose_runs_get_plain_lines_on_a_terminal_too() -> None:
    target, stream = console(terminal=True)
    with progress_on(target, plain=True) as progress:
        tell(progress)
    assert "3/3" not in stream.getvalue()
