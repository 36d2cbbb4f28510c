"""A battery: /sys/class/power_supply, ``current_now`` and ``voltage_now`` (or ``power_now``) in millionths.

https://docs.kernel.org/power/power_supply_class.html. While it discharges, it supplies the whole device. Makers disagree about
the sign of the current, and some phones give mA and mV; both are put right here. It is renewed every 2 to 7 s, so the windows are
minutes long: it is taken only when the device's ``meter`` setting names it.
"""

from __future__ import annotations

import glob
import os
from typing import Dict, List

from .base import Meter, MeterError, Rail, optional_integer, optional_line, rail_name, read_integer, under

_PERIOD_S = 7.0
_LEAST_UA = 10_000  # no device that runs a model lives on 10 mA, so a smaller number is in mA
_LEAST_UV = 100_000  # no battery has 0.1 V, so a smaller number is in mV
_DISCHARGING = "Discharging"


def amperes(current_now: int) -> float:
    """The amount of a current that the driver gives in uA, or against the rules in mA."""
    return abs(current_now) * (1e-6 if abs(current_now) >= _LEAST_UA else 1e-3)


def volts(voltage_now: int) -> float:
    """A voltage that the driver gives in uV, or against the rules in mV."""
    return voltage_now * (1e-6 if voltage_now >= _LEAST_UV else 1e-3)


class Battery(Meter):
    """Watts out of every battery that discharges."""

    name = "battery"
    automatic = False

    def __init__(self, folders: Dict[str, str], reason: str) -> None:
        rails = [Rail(name, "device") for name in folders]
        super().__init__(rails, list(folders), "whole device, from its battery", period_s=_PERIOD_S, resolution=0.01, reason=reason)
        self._folders = folders

    def read(self) -> Dict[str, float]:
        return {name: power_w(folder) for name, folder in self._folders.items()}


def power_w(folder: str) -> float:
    """The power out of one battery.

    Raises:
        MeterError: it does not discharge (then the power comes from elsewhere), or does not say.
    """
    status = optional_line(os.path.join(folder, "status"))
    if status != _DISCHARGING:
        raise MeterError("%s is %s, not discharging: unplug the device" % (folder, status.lower()[:40] or "in an unknown state"))
    power_uw = optional_integer(os.path.join(folder, "power_now"))
    if power_uw:
        return abs(power_uw) * 1e-6
    current = read_integer(os.path.join(folder, "current_now"))
    if current == 0:
        raise MeterError("%s gives no current" % folder)
    return amperes(current) * volts(read_integer(os.path.join(folder, "voltage_now")))


def find(root: str) -> List[Meter]:
    """All batteries as one meter."""
    folders: Dict[str, str] = {}
    reason = ""
    for folder in sorted(glob.glob(under(glob.escape(root), "sys/class/power_supply/*"))):
        if optional_line(os.path.join(folder, "type")) != "Battery" or optional_line(os.path.join(folder, "scope")) == "Device":
            continue  # scope "Device": the battery of a mouse or a pen
        folders[rail_name(os.path.basename(folder), list(folders), "battery-%d" % len(folders))] = folder
        try:
            power_w(folder)
        except MeterError as problem:
            reason = reason or str(problem)
    return [Battery(folders, reason)] if folders else []
