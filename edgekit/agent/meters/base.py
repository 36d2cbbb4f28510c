"""What every meter has in common: rails with a scope, a period, and readings in watts or in joules since some start."""

from __future__ import annotations

import abc
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

MAX_RAILS = 64
_MAX_NAME_CHARACTERS = 60


class MeterError(Exception):
    """A reading that failed; says which file or program, and why."""


class Rail(NamedTuple):
    """One line of supply. ``scope``: what it feeds, for example "package", "module", "board" or "rail" where nothing is known."""

    name: str
    scope: str


class Meter(abc.ABC):
    """A source of energy or power on this device.

    Attributes:
        name: of the kind of source, as a device's ``meter`` setting names it.
        kind: "counter": ``read`` gives joules since some start. "power": watts now.
        rails: what ``read`` gives a value for.
        total: names of the rails that add up to ``scope``; empty where no sum is known to be one.
        period_s: how often a new value is there.
        resolution: the smallest step of a value, in the unit of ``read``.
        ranges_j: of a counter, by rail: it starts again from 0 when it reaches this; a rail that is missing never does.
        automatic: whether it is taken when nobody named a meter.
        reason: why it cannot be read; empty when it can.
    """

    name = ""
    kind = "power"
    automatic = True

    def __init__(
        self, rails: Sequence[Rail], total: Sequence[str], scope: str, *, period_s: float, resolution: float, reason: str = ""
    ) -> None:
        self.rails = list(rails)[:MAX_RAILS]
        self.total = list(total)
        self.scope = scope
        self.period_s = period_s
        self.resolution = resolution
        self.reason = reason
        self.ranges_j: Dict[str, float] = {}

    def start(self) -> None:  # noqa: B027 - nothing to do for most
        """Get ready to be read; only a meter that is a program does something here."""

    @abc.abstractmethod
    def read(self) -> Dict[str, float]:
        """The value of every rail now.

        Raises:
            MeterError: it cannot be read, or a rail is missing.
        """

    def close(self) -> None:  # noqa: B027
        """Stop what ``start`` began."""

    def describe(self) -> Dict[str, Any]:
        """Everything but the readings, as the agent's ``meters`` operation answers it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "rails": [{"name": rail.name, "scope": rail.scope} for rail in self.rails],
            "total": self.total,
            "scope": self.scope,
            "period_s": self.period_s,
            "resolution": self.resolution,
            "ranges_j": self.ranges_j,
            "automatic": self.automatic,
            "reason": self.reason,
        }


def read_line(path: str) -> str:
    """The text of a small file of the kernel's, without white space at its ends.

    Raises:
        MeterError: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 16).strip()
    except OSError as problem:
        raise MeterError("%s: %s" % (path, problem.strerror or problem)) from problem


def read_integer(path: str) -> int:
    """A file that holds one whole number.

    Raises:
        MeterError: it cannot be read, or holds something else.
    """
    text = read_line(path)
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise MeterError("%s holds %.40r, not a whole number" % (path, text))
    return int(text)


def optional_integer(path: str) -> Optional[int]:
    """As :func:`read_integer`; ``None`` where there is no such number."""
    try:
        return read_integer(path)
    except MeterError:
        return None


def optional_line(path: str) -> str:
    """As :func:`read_line`; empty where there is no such file."""
    try:
        return read_line(path)
    except MeterError:
        return ""


def interval_s(path: str, least_s: float) -> float:
    """A driver's update interval (a file in milliseconds) in seconds; ``least_s`` where it says less or nothing."""
    milliseconds = optional_integer(path)
    return max(least_s, (milliseconds or 0) / 1000.0)


def rail_name(text: str, taken: Sequence[str], otherwise: str) -> str:
    """A printable name that no other rail has."""
    plain = "".join(c for c in text if c.isprintable() and c not in "+:,").strip()[:_MAX_NAME_CHARACTERS] or otherwise
    return plain if plain not in taken else "%s-%s" % (plain, otherwise)


def under(root: str, *parts: str) -> str:
    """A path below the root folder."""
    return os.path.join(root, *parts)


def names_of(rails: Sequence[Rail]) -> List[str]:
    return [rail.name for rail in rails]
