"""What long work says about itself. The command line draws it; the Python API is silent unless given one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Receives what is going on. Calls come from one thread, in order."""

    def stage(self, text: str) -> None:
        """A new stage begins."""

    def advance(self, done: int, total: int, text: str) -> None:
        """``done`` of ``total`` steps of the current stage are over; ``text`` names the step."""

    def note(self, text: str) -> None:
        """Something the user should read, now."""


class Silent:
    """The default: says nothing."""

    def stage(self, text: str) -> None:
        del text

    def advance(self, done: int, total: int, text: str) -> None:
        del done, total, text

    def note(self, text: str) -> None:
        del text


class WithinStep:
    """Hands everything on, and remembers the step, so that what happens within one can be shown beside its name."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._done, self._total, self._text = 0, 0, ""

    def stage(self, text: str) -> None:
        self._done, self._total, self._text = 0, 0, ""
        self._shown.stage(text)

    def advance(self, done: int, total: int, text: str) -> None:
        self._done, self._total, self._text = done, total, text
        self._shown.advance(done, total, text)

    def note(self, text: str) -> None:
        self._shown.note(text)

    def within(self, text: str) -> None:
        """``text`` says how far the step itself has come."""
        step = f"{self._text}: {text}" if self._text else text
        self._shown.advance(self._done, max(self._total, self._done + 1), step)


def shown_push(progress: WithinStep, sent_bytes: Callable[[], int]) -> Callable[[int, int, str], None]:
    """What shows the bytes of a push and their rate; what the device has already counts as done, but not into the rate.

    Args:
        sent_bytes: how much has been sent over the connection so far.
    """
    started, sent_before = time.monotonic(), sent_bytes()

    def show(done_bytes: int, total_bytes: int, _: str) -> None:
        rate = (sent_bytes() - sent_before) / max(time.monotonic() - started, 1e-6)
        progress.within(f"sent {done_bytes / 1e6:.1f} of {total_bytes / 1e6:.1f} MB, {rate / 1e6:.2f} MB/s")

    return show
