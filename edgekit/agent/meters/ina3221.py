"""INA3221, the power chip of Jetson modules, with the kernel of JetPack 5 and later: hwmon files.

https://docs.kernel.org/hwmon/ina3221.html: ``inN_input`` is a voltage in mV, ``currN_input`` a current in mA, for N from 1 to 3;
there is no file with the power. ``in7_label`` is "sum of shunt voltages", which is no rail.
"""

from __future__ import annotations

import glob
import os
from typing import Dict, List, Tuple

from .base import Meter, MeterError, Rail, interval_s, optional_integer, optional_line, rail_name, read_integer, under
from .jetson import rail, total_of

LEAST_PERIOD_S = 0.05  # reading a rail takes the bus about a millisecond; more often would load the device that is measured
_CHANNELS = (1, 2, 3)


class Ina3221(Meter):
    """Watts by the label of the rail: volts times amperes."""

    name = "ina3221"

    def __init__(self, channels: List[Tuple[Rail, str, int]], period_s: float, reason: str) -> None:
        rails = [each for each, _, _ in channels]
        total, scope = total_of(rails)
        # One step of the current is at least 1 mA, at 5 V.
        super().__init__(rails, total, scope, period_s=period_s, resolution=0.005, reason=reason)
        self._channels = channels

    def read(self) -> Dict[str, float]:
        return {each.name: watts(folder, channel) for each, folder, channel in self._channels}


def watts(folder: str, channel: int) -> float:
    """Millivolts times milliamperes of one channel. Small currents may read as negative.

    Raises:
        MeterError: one of the two files is missing or is not a number.
    """
    millivolts = read_integer(os.path.join(folder, "in%d_input" % channel))
    return millivolts * read_integer(os.path.join(folder, "curr%d_input" % channel)) * 1e-6


def find(root: str) -> List[Meter]:
    """All chips of the board as one meter."""
    channels: List[Tuple[Rail, str, int]] = []
    period_s, reason = LEAST_PERIOD_S, ""
    for folder in sorted(glob.glob(under(glob.escape(root), "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*"))):
        period_s = max(period_s, interval_s(os.path.join(folder, "update_interval"), LEAST_PERIOD_S))
        chip = folder.split(os.sep)[-3]  # bus and address, 1-0040
        for channel in _CHANNELS:
            label = optional_line(os.path.join(folder, "in%d_label" % channel))
            if not label or label == "NC" or "sum of shunt" in label.lower():
                continue
            if optional_integer(os.path.join(folder, "in%d_enable" % channel)) == 0:
                continue
            try:
                watts(folder, channel)
            except MeterError as problem:
                reason = reason or str(problem)
                continue
            taken = [each.name for each, _, _ in channels]
            channels.append((rail(rail_name(label, taken, "%s-%d" % (chip, channel))), folder, channel))
    if not channels and not reason:
        return []
    return [Ina3221(channels, period_s, "" if channels else reason)]
