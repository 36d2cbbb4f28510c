"""INA3221 with the kernel of JetPack 4: files of an iio device, ``rail_name_N`` and ``in_powerN_input`` in mW, N from 0."""

from __future__ import annotations

import glob
import os
import re
from typing import Dict, List, Tuple

from .base import Meter, MeterError, Rail, optional_line, rail_name, read_integer, under
from .ina3221 import LEAST_PERIOD_S
from .jetson import rail, total_of


class Ina3221x(Meter):
    """Watts by the name of the rail."""

    name = "ina3221x"

    def __init__(self, channels: List[Tuple[Rail, str]], reason: str) -> None:
        rails = [each for each, _ in channels]
        total, scope = total_of(rails)
        super().__init__(rails, total, scope, period_s=LEAST_PERIOD_S, resolution=0.005, reason=reason)
        self._channels = channels

    def read(self) -> Dict[str, float]:
        return {each.name: read_integer(path) * 1e-3 for each, path in self._channels}


def find(root: str) -> List[Meter]:
    """All chips of the board as one meter."""
    channels: List[Tuple[Rail, str]] = []
    reason = ""
    for path in sorted(glob.glob(under(glob.escape(root), "sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*"))):
        number = re.search(r"rail_name_(\d+)\Z", path)
        label = optional_line(path)
        if number is None or not label or label == "NC":
            continue
        folder = os.path.dirname(path)
        power = os.path.join(folder, "in_power%s_input" % number.group(1))
        try:
            read_integer(power)
        except MeterError as problem:
            reason = reason or str(problem)
            continue
        taken = [each.name for each, _ in channels]
        chip = folder.split(os.sep)[-2]  # bus and address, 1-0040
        channels.append((rail(rail_name(label, taken, "%s-%s" % (chip, number.group(1)))), power))
    if not channels and not reason:
        return []
    return [Ina3221x(channels, "" if channels else reason)]
