"""What long work says about itself. The command line draws it; the Python API is silent unless given one."""

from __future__ import annotations

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
