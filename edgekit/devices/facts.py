"""The device's facts as a frozen value: types checked, sizes and counts capped, text cleaned."""

from __future__ import annotations

from typing import Any

from ..errors import DeviceRunError
from ..types import DeviceFacts, DeviceKind
from .text import clean

_MAX_FEATURES = 512
_MAX_RUNTIMES = 64


def facts_from_probe(answer: Any) -> DeviceFacts:
    """What the agent's ``probe`` answered.

    Raises:
        DeviceRunError: the answer is not what the protocol says.
    """
    try:
        kind: DeviceKind = "emulated" if answer["kind"] == "emulated" else "real"
        return DeviceFacts(
            kind=kind,
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
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise DeviceRunError(
            "the agent's probe gave an answer that is not understood", why=f"{type(problem).__name__}: {problem}"
        ) from problem


def _count(value: Any) -> int | None:
    return None if value is None else int(value)
