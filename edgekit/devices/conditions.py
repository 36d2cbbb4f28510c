"""The conditions of a measurement as frozen values: types checked, counts capped, text cleaned, impossible numbers refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DeviceRunError
from ..types import Conditions, Reading, Zone
from .text import clean

_MAX_LIST = 1024


def reading_from(event: Any) -> Reading:
    """The ``conditions`` of a ``sample`` event.

    Raises:
        DeviceRunError: they are not what the protocol says.
    """
    try:
        clocks = event["clocks_hz"]
        return Reading(
            window_s=_amount(event["window_s"]),
            busy_s=_maybe(event["busy_s"]),
            stolen_s=_maybe(event["stolen_s"]),
            machine_busy_s=_maybe(event["machine_busy_s"]),
            own_s=_maybe(event["own_s"]),
            waited_s=_maybe(event["waited_s"]),
            pressure_s=_maybe(event["pressure_s"]),
            clocks_hz=None if clocks is None else tuple(_amount(value) for value in clocks[:_MAX_LIST]),
            temperatures_c=tuple(None if value is None else _finite(value) for value in event["temperatures_c"][:_MAX_LIST]),
            throttled=tuple(clean(name, 60) for name in event["throttled"][:_MAX_LIST]),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise _not_understood(problem) from problem


def conditions_from(sensors: Any, readings: Sequence[Reading]) -> Conditions:
    """The ``sensors`` of a bench's result, with the readings of one candidate.

    Raises:
        DeviceRunError: they are not what the protocol says.
    """
    try:
        return Conditions(
            cpus=tuple(int(cpu) for cpu in sensors["cpus"][:_MAX_LIST]),
            machine_cpus=max(1, int(sensors["machine_cpus"])),
            tick_s=_amount(sensors["tick_s"]),
            governor=None if sensors["governor"] is None else clean(sensors["governor"], 40),
            zones=tuple(_zone(zone) for zone in sensors["zones"][:_MAX_LIST]),
            readings=tuple(readings),
            reasons={clean(name, 40): clean(why) for name, why in list(sensors["reasons"].items())[:_MAX_LIST]},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise _not_understood(problem) from problem


def _zone(zone: Mapping[str, Any]) -> Zone:
    passive = zone["passive_c"]
    return Zone(clean(zone["name"], 60), None if passive is None else _finite(passive))


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("not a number")
    return float(value)


def _amount(value: Any) -> float:
    number = _finite(value)
    if number < 0:
        raise ValueError("a negative amount")
    return number


def _maybe(value: Any) -> float | None:
    return None if value is None else _amount(value)


def _not_understood(problem: Exception) -> DeviceRunError:
    return DeviceRunError(
        "the agent sent conditions of a measurement that are not understood", why=f"{type(problem).__name__}: {problem}"
    )
