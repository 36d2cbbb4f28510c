"""Wrapped text and columns of numbers on a rich console, printed literally."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .text import one_line


def say(console: Console, text: str, *, style: str = "", indent: int = 0, hanging: int = 0) -> None:
    """One paragraph, wrapped to the console with a hanging indent."""
    whole = Text(one_line(text), style=style)
    first, *rest = whole.wrap(console, max(20, console.width - max(indent, hanging)), overflow="fold") or [whole]
    for number, line in enumerate((first, *rest)):
        line.rstrip()
        console.print(Text(" " * (hanging if number else indent)) + line, soft_wrap=True)


def add_number_column(table: Table, heading: str) -> None:
    """A column that is never cut: numbers stay on one line, an interval may stand below its value, unbroken."""
    if "[95%]" in heading:
        table.add_column(heading, justify="right", overflow="fold", min_width=len("[0.123..0.123]"))
    else:
        table.add_column(heading, justify="right", no_wrap=True)
