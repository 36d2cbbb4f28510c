"""Words and numbers of a report. Standard library only: error messages and lists use it without loading rich."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..types import Latency, Ratio

# Control characters (escape sequences start with one) and bidirectional overrides: text from a model, a file name or a device may
# hold them, and none may move the cursor or reorder a line.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
NOT_MEASURED = "-"


def clean(text: object) -> str:
    """``text`` safe to print: control characters, escapes and lone surrogates are shown as U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", str(text))


def reference_name(model: Mapping[str, Any]) -> str:
    """What ran the model that everything is compared with, by what a report says of the model."""
    from ..targets import ONNX_FORMATS

    made_of = model.get("format", "onnx")
    return "ONNX Runtime float32" if made_of in ONNX_FORMATS else f"the .{clean(made_of)} file itself"


def one_line(text: object) -> str:
    return " ".join(clean(text).split())


def brief(text: object, most: int = 80) -> str:
    """What somebody else's file says of itself, so that it cannot pass for a line of edgekit's own."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


@dataclass(frozen=True)
class TimeUnit:
    """The unit of a column of times; it stands in the column's heading."""

    name: str
    per_second: float

    def value(self, seconds: float | None) -> str:
        """Three significant digits, without the unit."""
        return NOT_MEASURED if seconds is None else _significant(seconds * self.per_second)

    def with_interval(self, latency: Latency | None) -> str:
        """The median and its 95 % interval."""
        if latency is None:
            return NOT_MEASURED
        low, high = latency.ci95
        return f"{self.value(latency.p50)} [{self.value(low)}..{self.value(high)}]"


MILLISECONDS = TimeUnit("ms", 1e3)
MICROSECONDS = TimeUnit("µs", 1e6)


def time_unit(latencies: Iterable[Latency | None]) -> TimeUnit:
    """Microseconds where every median is under a millisecond."""
    medians = [latency.p50 for latency in latencies if latency is not None]
    return MICROSECONDS if medians and max(medians) < 1e-3 else MILLISECONDS


def duration(seconds: float) -> str:
    """One time with the unit that suits it."""
    unit = MICROSECONDS if seconds < 1e-3 else MILLISECONDS
    return f"{unit.value(seconds)} {unit.name}"


def ratio_with_interval(ratio: Ratio | None) -> str:
    if ratio is None:
        return NOT_MEASURED
    low, high = ratio.ci95
    return f"{ratio.value:.2f}x [{low:.2f}..{high:.2f}]"


def size(n_bytes: float | None) -> str:
    """Decimal units, as downloads and data sheets count."""
    if n_bytes is None:
        return NOT_MEASURED
    for unit, divisor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= divisor:
            return f"{_significant(n_bytes / divisor)} {unit}"
    return f"{n_bytes:.0f} B"


def short(value: float) -> str:
    """Three significant digits, without those that are zero and, below a million millions, without an exponent."""
    return f"{float(f'{value:.3g}'):.12g}"


def fraction(value: float | None, digits: int = 3) -> str:
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def decibels(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1f}"


def listing(items: Iterable[object]) -> str:
    return ", ".join(one_line(item) for item in items) or "none"


def _significant(value: float) -> str:
    if value == 0:
        return "0"
    digits = min(6, max(0, 2 - math.floor(math.log10(abs(value)))))
    return f"{value:.{digits}f}"
