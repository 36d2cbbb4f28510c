"""The power chip of the Raspberry Pi 5, through the firmware: ``vcgencmd pmic_read_adc``.

It prints a current for each of its outputs and a voltage for each, under the same name but in another order. Their products add
up to what the chip delivers: the processor, memory and the board's own parts. What is fed from the 5 V input past it (USB, fans,
boards on top) and the chip's own loss are not in it, so the sum is an estimate of the board's power and is called that.
"""

from __future__ import annotations

import re
from typing import Dict, List

from .base import MAX_RAILS, Meter, MeterError, Rail, optional_line, under
from .program import find_program, output_of

PATHS = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
_ARGUMENT = "pmic_read_adc"
_PROCESSOR = "brcm,bcm2712"  # of the Raspberry Pi 5 and its kin
_PERIOD_S = 0.1  # each reading starts a program; more often would load the device that is measured
_TIMEOUT_S = 2.0
_VALUE = re.compile(r"^\s*([A-Za-z0-9_]{1,40})_([AV])\s+(current|volt)\(\d{1,3}\)=(-?\d{1,6}(?:\.\d{1,12})?)([AV])\s*$")


def parse(text: str) -> Dict[str, float]:
    """Watts by rail: those that have both a current and a voltage. ``EXT5V`` and ``BATT`` have a voltage alone."""
    amperes: Dict[str, float] = {}
    volts: Dict[str, float] = {}
    for line in text.splitlines()[: 4 * MAX_RAILS]:
        match = _VALUE.match(line)
        if match is None:
            continue
        name, ending, kind, value, unit = match.groups()
        if ending == unit == "A" and kind == "current":
            amperes[name] = float(value)
        elif ending == unit == "V" and kind == "volt":
            volts[name] = float(value)
    return {name: amperes[name] * volts[name] for name in amperes if name in volts}


class Pmic(Meter):
    """Watts by the name of the chip's output."""

    name = "rpi-pmic"

    def __init__(self, program: str, rails: List[Rail], reason: str) -> None:
        scope = "board, estimated from the outputs of its power chip"
        names = [rail.name for rail in rails]
        super().__init__(rails, names, scope, period_s=_PERIOD_S, resolution=0.001, reason=reason)
        self._program = program

    def read(self) -> Dict[str, float]:
        found = parse(output_of([self._program, _ARGUMENT], timeout_s=_TIMEOUT_S))
        missing = [rail.name for rail in self.rails if rail.name not in found]
        if missing:
            raise MeterError("%s %s is without %s" % (self._program, _ARGUMENT, ", ".join(missing)))
        return found


def find(root: str) -> List[Meter]:
    """One meter where the program prints rails, and on any board that has the chip; none on an older one without such a command."""
    program = find_program(root, PATHS)
    if program is None:
        return []
    try:
        said = output_of([program, _ARGUMENT], timeout_s=_TIMEOUT_S)
    except MeterError as problem:
        said = str(problem)
    found = parse(said)
    if found:
        return [Pmic(program, [Rail(name, "board rail") for name in found], "")]
    if _PROCESSOR not in optional_line(under(root, "proc/device-tree/compatible")):
        return []
    why = "vcgencmd tells no power (%.300s); it needs /dev/vcio, which users of the group `video` may open" % " ".join(said.split())
    return [Pmic(program, [], why)]
