"""The device's facts as a frozen value: types checked, sizes and counts capped, text cleaned."""

from __future__ import annotations

from typing import Any

from ..errors import DeviceRunError
from ..types import CpuPolicy, DeviceFacts, DeviceKind, Jetson, PowerSensor
from .text import clean

_MAX_FEATURES = 512
_MAX_RUNTIMES = 64
_MAX_LISTED = 64
_KINDS: dict[object, DeviceKind] = {"emulated": "emulated", "stand-in": "stand-in"}


def facts_from_probe(answer: Any) -> DeviceFacts:
    """What the agent's ``probe`` answered.

    Raises:
        DeviceRunError: the answer is not what the protocol says.
    """
    try:
        return DeviceFacts(
            kind=_KINDS.get(answer["kind"], "real"),
            system=clean(answer["system"], 40),
            machine=clean(answer["machine"], 40),
            python=clean(answer["python"], 40),
            cpu_model=clean(answer["cpu_model"]),
            cpu_features=tuple(clean(name, 40) for name in list(answer["cpu_features"])[:_MAX_FEATURES]),
            cores=int(answer["cores"]),
            memory_bytes=_count(answer["memory_bytes"]),
            memory_available_bytes=_count(answer["memory_available_bytes"]),
            runtimes={
                clean(name, 60): clean(version, 60) for name, version in list(dict(answer["runtimes"]).items())[:_MAX_RUNTIMES]
            },
            governor=None if answer["governor"] is None else clean(answer["governor"], 40),
            kernel=clean(answer["kernel"], 100),
            board=None if answer["board"] is None else clean(answer["board"]),
            board_ids=_texts(answer["board_ids"]),
            address_bits=int(answer["address_bits"]),
            libc=clean(answer["libc"], 40),
            in_venv=answer["in_venv"] is True,
            can_make_venv=answer["can_make_venv"] is True,
            disk_free_bytes=_count(answer["disk_free_bytes"]),
            policies=tuple(_policy(policy) for policy in list(answer["policies"])[:_MAX_LISTED]),
            thermal_zones=_texts(answer["thermal_zones"]),
            power_sensors=tuple(_sensor(sensor) for sensor in list(answer["power_sensors"])[:_MAX_LISTED]),
            power_reason=clean(answer["power_reason"]),
            stand_in=answer["stand_in_sign"] is not None,
            jetson=None if answer.get("jetson") is None else _jetson(answer["jetson"]),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise DeviceRunError(
            "the agent's probe gave an answer that is not understood", why=f"{type(problem).__name__}: {problem}"
        ) from problem


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(clean(value) for value in list(values)[:_MAX_LISTED])


def _policy(policy: Any) -> CpuPolicy:
    governor = policy["governor"]
    return CpuPolicy(
        name=clean(policy["name"], 40),
        cpus=clean(policy["cpus"]),
        governor=None if governor is None else clean(governor, 40),
        available=_texts(policy["available"]),
        settable=policy["settable"] is True,
    )


def _sensor(sensor: Any) -> PowerSensor:
    return PowerSensor(
        name=clean(sensor["name"], 60),
        scope=clean(sensor["scope"], 60),
        rails=_texts(sensor["rails"]),
        reason=clean(sensor["reason"], 400),
    )


def _jetson(answer: Any) -> Jetson:
    clock = answer["gpu_clock_hz"]
    locked = answer["clocks_locked"]
    return Jetson(
        l4t=_text(answer["l4t"]),
        jetpack=_text(answer["jetpack"]),
        power_mode=_text(answer["power_mode"]),
        power_modes=tuple(clean(name, 40) for name in list(answer["power_modes"])[:_MAX_LISTED]),
        gpu_clock_hz=None if clock is None else (float(clock[0]), float(clock[1])),
        clocks_locked=None if locked is None else locked is True,
        reasons={clean(name, 40): clean(why, 400) for name, why in list(dict(answer["reasons"]).items())[:_MAX_LISTED]},
    )


def _text(value: Any) -> str | None:
    return None if value is None else clean(value, 40)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)
