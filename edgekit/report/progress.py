"""Progress on stderr: a bar where there is a terminal, plain lines where there is none. Nothing ever goes to stdout."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from .text import one_line

PLAIN_INTERVAL_S = 10.0
DRAW_INTERVAL_S = 0.2


def stderr_console() -> Console:
    """A console on stderr that takes text literally: no markup, no emoji codes, no guessed highlighting. Honours NO_COLOR."""
    return Console(stderr=True, markup=False, emoji=False, highlight=False)


class PlainProgress:
    """A line a stage and a note, and a line at most every ten seconds for long stages: for logs, pipes and ``-v``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_line = 0.0

    def stage(self, text: str) -> None:
        self._say(text)

    def advance(self, done: int, total: int, text: str) -> None:
        if time.monotonic() - self._last_line >= PLAIN_INTERVAL_S:
            self._say(f"  {done}/{total} {text}")

    def note(self, text: str) -> None:
        self._say(f"note: {text}")

    def _say(self, text: str) -> None:
        indent = text[: len(text) - len(text.lstrip())]
        self._console.print(Text(indent + one_line(text)), soft_wrap=True)
        self._last_line = time.monotonic()


class BarProgress:
    """One bar: the current stage. It is drawn only when something happens.

    A refresh thread would wake up ten times a second beside the very measurement that it reports on.
    """

    def __init__(self, console: Console, bars: Progress) -> None:
        self._console = console
        self._bars = bars
        self._task: TaskID | None = None
        self._stage = ""
        self._last_drawn = 0.0

    def stage(self, text: str) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._stage = one_line(text)
        self._task = self._bars.add_task(self._stage, total=None, step="")
        self._draw()

    def advance(self, done: int, total: int, text: str) -> None:
        if self._task is None:
            self.stage("")
        assert self._task is not None
        self._bars.update(self._task, completed=done, total=total, step=one_line(text))
        if done >= total or time.monotonic() - self._last_drawn >= DRAW_INTERVAL_S:
            self._draw()

    def note(self, text: str) -> None:
        self._console.print(Text(f"note: {one_line(text)}"), soft_wrap=True)

    def _draw(self) -> None:
        self._bars.refresh()
        self._last_drawn = time.monotonic()


@contextlib.contextmanager
def progress_on(console: Console, *, plain: bool = False) -> Iterator[PlainProgress | BarProgress]:
    """The progress that fits ``console``; a bar is gone when the block ends, so that the verdict stands alone."""
    if plain or not console.is_terminal:
        yield PlainProgress(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[step]}", markup=False),
        TimeElapsedColumn(),
    )
    bars = Progress(*columns, console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
    with bars:
        yield BarProgress(console, bars)
