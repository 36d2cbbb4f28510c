"""Energy and power meters of a device. Each reader is a pure parser over files below a root folder, or over a program's text.

docs/energy.md lists what each of them reads and what its numbers stand for.
"""

from __future__ import annotations

import os
from typing import Callable, List, Optional

from . import battery, hwmon, ina3221, ina3221x, nvml, odpm, pmic, rapl, tegrastats
from .base import Meter, MeterError, Rail

__all__ = ["NAMES", "ROOT_VARIABLE", "Meter", "MeterError", "Rail", "discover", "meter_root"]

ROOT_VARIABLE = "EDGEKIT_METER_ROOT"
# In the order of preference: what holds only what is measured comes before what holds the whole machine.
_FINDERS = (
    ("ina3221", ina3221.find), ("ina3221x", ina3221x.find), ("tegrastats", tegrastats.find), ("rapl", rapl.find),
    ("rpi-pmic", pmic.find), ("hwmon", hwmon.find), ("odpm", odpm.find), ("nvml", nvml.find), ("battery", battery.find),
)  # fmt: skip
NAMES = tuple(name for name, _ in _FINDERS)


def meter_root() -> str:
    """The folder under which meters are looked for: ``/``, or for tests a tree that EDGEKIT_METER_ROOT names."""
    return os.path.abspath(os.environ.get(ROOT_VARIABLE) or "/")


def discover(root: str = "/", spec: Optional[str] = None) -> List[Meter]:
    """The meters of this device, also those that are there but cannot be read: their ``reason`` says why.

    Args:
        root: the folder that stands for ``/``.
        spec: only those of this name.
    """
    found: List[Meter] = []
    for name, find in _FINDERS:
        if spec is None or spec == name:
            finder: Callable[[str], List[Meter]] = find
            found += finder(root)
    return found
