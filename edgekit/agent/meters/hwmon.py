"""Power chips under /sys/class/hwmon that give a power: ``powerN_input`` (or ``powerN_average``) in microwatts.

https://docs.kernel.org/hwmon/sysfs-interface.html. INA219, INA226, INA238 and their kin sit in any supply line that the board's
maker chose; only a label or a single chip says which. ``power_meter`` (ACPI) is the whole machine.
"""

from __future__ import annotations

import glob
import os
import re
from typing import Dict, List, Tuple

from .base import Meter, MeterError, Rail, interval_s, optional_line, rail_name, read_integer, under
from .jetson import TOTALS

_LEAST_PERIOD_S = 0.05
_INA = re.compile(r"ina2\d\d\Z")
_MACHINE = "power_meter"


class Hwmon(Meter):
    """Watts by the label of the rail, or by chip and number where it has none."""

    name = "hwmon"

    def __init__(self, inputs: List[Tuple[Rail, str]], total: Tuple[List[str], str], period_s: float, reason: str) -> None:
        rails = [each for each, _ in inputs]
        super().__init__(rails, total[0], total[1], period_s=period_s, resolution=1e-3, reason=reason)
        self._inputs = inputs

    def read(self) -> Dict[str, float]:
        return {each.name: read_integer(path) * 1e-6 for each, path in self._inputs}


def find(root: str) -> List[Meter]:
    """All chips as one meter."""
    inputs: List[Tuple[Rail, str]] = []
    chips: List[str] = []
    period_s, reason = _LEAST_PERIOD_S, ""
    for folder in sorted(glob.glob(under(glob.escape(root), "sys/class/hwmon/hwmon*"))):
        chip = optional_line(os.path.join(folder, "name"))
        for path in _power_files(folder):
            try:
                read_integer(path)
            except MeterError as problem:
                reason = reason or str(problem)
                continue  # a card that is asleep; the others can be read all the same
            number = re.sub(r"\D", "", os.path.basename(path))
            label = optional_line(os.path.join(folder, "power%s_label" % number))
            taken = [each.name for each, _ in inputs]
            name = rail_name(label, taken, "%s-power%s" % (chip or os.path.basename(folder), number))
            scope = "machine" if chip == _MACHINE else TOTALS.get(label, "rail")
            inputs.append((Rail(name, scope), path))
            chips.append(chip)
            period_s = max(
                period_s,
                interval_s(os.path.join(folder, "update_interval"), _LEAST_PERIOD_S),
                interval_s(os.path.join(folder, "power%s_average_interval" % number), _LEAST_PERIOD_S),
            )
    if not inputs and not reason:
        return []
    return [Hwmon(inputs, _total(inputs, chips), period_s, "" if inputs else reason)]


def _power_files(folder: str) -> List[str]:
    """One file a power: the value now where the chip has one, else its mean over the chip's own interval."""
    now = sorted(glob.glob(os.path.join(glob.escape(folder), "power[0-9]*_input")))
    mean = sorted(glob.glob(os.path.join(glob.escape(folder), "power[0-9]*_average")))
    known = {os.path.basename(path).partition("_")[0] for path in now}
    return now + [path for path in mean if os.path.basename(path).partition("_")[0] not in known]


def _total(inputs: List[Tuple[Rail, str]], chips: List[str]) -> Tuple[List[str], str]:
    """The machine's own meter, a rail that is the board's input by its label, or the only rail of an INA2xx; else nothing."""
    machine = [each.name for each, _ in inputs if each.scope == "machine"]
    if len(machine) == 1:
        return machine, "machine"
    labelled = [each for each, _ in inputs if each.scope != "rail"]
    if len(labelled) == 1:
        return [labelled[0].name], "%s (%s)" % (labelled[0].scope, labelled[0].name)
    single = [each.name for (each, _), chip in zip(inputs, chips) if _INA.match(chip)]  # noqa: B905 - Python 3.8
    if len(single) == 1:
        return single, "the supply line of %s" % single[0]
    return [], ""
