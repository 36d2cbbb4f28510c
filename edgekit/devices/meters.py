"""Which meter measures a device: what its ``meter`` setting says, and what the agent finds there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..agent.meters import NAMES, MeterError
from ..errors import DeviceRunError, UnknownNameError, UsageError
from ..measure.energy import MeterFacts
from .text import clean
from .wall_meters import KINDS, WallMeter

if TYPE_CHECKING:
    from .session import AgentSession

AUTO, NONE = "auto", "none"
_URL = re.compile(r"http://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250})|\[[0-9A-Fa-f:.]{2,60}\])(?::[0-9]{1,5})?/?")
_MAX_RAILS = 64
_HOW = "auto, none, the name of a meter (docs/energy.md), NAME:RAIL+RAIL, shelly:http://HOST or tasmota:http://HOST"


@dataclass(frozen=True)
class MeterSetting:
    """What a device's ``meter`` says. ``rails``: those that are added up instead of the meter's own total."""

    name: str = AUTO
    rails: tuple[str, ...] = ()
    url: str = ""


@dataclass(frozen=True)
class FoundMeter:
    """The meter of a run, or why there is none. ``wall``: the plug that this machine reads, when it is one."""

    facts: MeterFacts | None
    reason: str = ""
    wall: WallMeter | None = None

    @property
    def is_stand_in(self) -> bool:
        """Whether a test has put it there: its numbers are evidence of nothing."""
        return self.facts is not None and self.facts.source == "stand-in"


def parse_meter(text: str | None) -> MeterSetting:
    """The ``meter`` of a device in ``devices.toml``; None means that one is looked for.

    Raises:
        UsageError: it cannot be read.
        UnknownNameError: no such meter.
    """
    name, colon, rest = (text if text is not None else AUTO).partition(":")
    known = [AUTO, NONE, *NAMES, *KINDS]
    if name not in known:
        raise UnknownNameError("meter", name, known)
    if name in KINDS:
        if not _URL.fullmatch(rest):
            raise UsageError(
                f"meter {text!r} cannot be read", hint=f"write {name}:http://HOST, the plug's address in your own network"
            )
        return MeterSetting(name, url=rest)
    rails = tuple(rest.split("+")) if colon else ()
    if not all(rails) or (rails and name in (AUTO, NONE)) or len(set(rails)) != len(rails):
        raise UsageError(f"meter {text!r} cannot be read", hint=f"write {_HOW}")
    return MeterSetting(name, rails)


def find_meter(session: AgentSession, setting: MeterSetting) -> FoundMeter:
    """The meter to use for the session's device.

    Raises:
        DeviceRunError: the agent's answer is not what the protocol says.
    """
    if setting.name == NONE:
        return FoundMeter(None, "the device's meter is set to none")
    if setting.name in KINDS:
        return _wall(setting)
    answer = session.meters()
    try:
        there = [_described(each) for each in list(answer["meters"])[: len(NAMES)]]
        is_stand_in = answer["root"] != "/"
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise DeviceRunError(
            "the agent's list of meters is not understood", why=f"{type(problem).__name__}: {problem}"
        ) from problem
    found = choose(there, setting)
    if found.facts is not None and is_stand_in:
        return replace(found, facts=replace(found.facts, source="stand-in"))
    return found


@dataclass(frozen=True)
class Described:
    """A meter as the agent describes it, checked and cleaned."""

    facts: MeterFacts
    automatic: bool
    reason: str


def choose(there: Sequence[Described], setting: MeterSetting) -> FoundMeter:
    """The meter that the setting names; without one, the first that can be read and whose rails add up to something known."""
    wanted = [each for each in there if setting.name in (AUTO, each.facts.name)]
    if not wanted:
        return FoundMeter(None, "no energy meter was found" + (f" of the kind {setting.name}" if setting.name != AUTO else ""))
    if setting.name == AUTO:
        usable = [each for each in wanted if each.automatic and not each.reason and each.facts.total]
        if usable:
            return FoundMeter(usable[0].facts)
        return FoundMeter(None, "; ".join(_why_not(each) for each in wanted))
    named = wanted[0]
    if named.reason:
        return FoundMeter(None, f"{named.facts.name}: {named.reason}")
    if not setting.rails:
        return FoundMeter(named.facts) if named.facts.total else FoundMeter(None, _why_not(named))
    unknown = [rail for rail in setting.rails if rail not in named.facts.rails]
    if unknown:
        return FoundMeter(None, f"{named.facts.name} has no rail {unknown[0]!r}; it has {', '.join(named.facts.rails)}")
    return FoundMeter(replace(named.facts, total=setting.rails, scope=" + ".join(setting.rails)))


def _why_not(each: Described) -> str:
    name, rails = each.facts.name, list(each.facts.rails)
    if each.reason:
        return f"{name}: {each.reason}"
    if not each.facts.total:
        example = "+".join(rails[:2])
        return (
            f"{name} has the rails {', '.join(rails)}, none of which is known to hold the others; "
            f"name those to be added in the device's meter setting, for example {name}:{example}"
        )
    return f"{name} is there, but is used only when the device's meter setting names it ({each.facts.scope})"


def _wall(setting: MeterSetting) -> FoundMeter:
    wall = WallMeter(setting.name, setting.url)
    try:
        wall.start()
    except MeterError as problem:
        return FoundMeter(None, f"{setting.name}: {clean(problem, 300)}")
    facts = MeterFacts(
        name=wall.name,
        kind="power",
        rails={rail.name: rail.scope for rail in wall.rails},
        total=tuple(wall.total),
        scope=wall.scope,
        period_s=wall.period_s,
        resolution=wall.resolution,
        source="host",
    )
    return FoundMeter(facts, wall=wall)


def _described(answer: Mapping[str, Any]) -> Described:
    """Raises KeyError, TypeError or ValueError where the agent's word is not what the protocol says."""
    name = answer["name"]
    if name not in NAMES:
        raise ValueError(f"no meter is called {clean(name, 40)!r}")
    rails = {clean(rail["name"], 60): clean(rail["scope"], 60) for rail in list(answer["rails"])[:_MAX_RAILS]}
    total = tuple(clean(each, 60) for each in list(answer["total"])[:_MAX_RAILS])
    if len(rails) != len(list(answer["rails"])) or not set(total) <= set(rails) or len(set(total)) != len(total):
        raise ValueError("its rails are not what they are said to be")
    kind: Literal["counter", "power"] = "counter" if answer["kind"] == "counter" else "power"
    facts = MeterFacts(
        name=name,
        kind=kind,
        rails=rails,
        total=total,
        scope=clean(answer["scope"], 120),
        period_s=_within(answer["period_s"], 1e-4, 60.0),
        resolution=_within(answer["resolution"], 0.0, 1e3),
        ranges_j={clean(rail, 60): _within(range_j, 1e-6, 1e15) for rail, range_j in dict(answer["ranges_j"]).items()},
    )
    return Described(facts, bool(answer["automatic"]), clean(answer["reason"], 500))


def _within(value: Any, least: float, most: float) -> float:
    number = float(value)
    if not (math.isfinite(number) and least <= number <= most):
        raise ValueError(f"{number} is not between {least} and {most}")
    return number
