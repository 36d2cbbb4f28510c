"""The power rails monitor of Pixel phones (ODPM): ``energy_value`` of an iio device, in microwatt-seconds by rail.

The file begins with ``t=`` (ms since the start of the phone); then comes a line a channel: ``CH3(T=349894)[S2M_VDD_CPUCL2],
30203502``. No rail holds the others, so the device's ``meter`` setting must name those that are to be added. Only root can read
it.
"""

from __future__ import annotations

import glob
import re
from typing import Dict, List

from .base import MAX_RAILS, Meter, MeterError, Rail, names_of, read_line, under

_PERIOD_S = 1.0
_CHANNEL = re.compile(r"^CH\d{1,3}\(T=\d{1,20}\)\[([A-Za-z0-9_]{1,60})\], (\d{1,20})$")


def parse(text: str) -> Dict[str, float]:
    """Joules by rail."""
    found: Dict[str, float] = {}
    for line in text.splitlines()[: 2 * MAX_RAILS]:
        match = _CHANNEL.match(line.strip())
        if match is not None:
            found[match.group(1)] = int(match.group(2)) * 1e-6
    return found


class Odpm(Meter):
    """Joules since the start of the phone."""

    name = "odpm"
    kind = "counter"
    automatic = False

    def __init__(self, paths: List[str], rails: List[Rail], reason: str) -> None:
        super().__init__(rails, [], "", period_s=_PERIOD_S, resolution=1e-6, reason=reason)
        self._paths = paths

    def read(self) -> Dict[str, float]:
        found = {name: value for path in self._paths for name, value in parse(read_line(path)).items()}
        missing = [name for name in names_of(self.rails) if name not in found]
        if missing:
            raise MeterError("%s is without %s" % (", ".join(self._paths), ", ".join(missing)))
        return found


def find(root: str) -> List[Meter]:
    """All monitors as one meter."""
    paths = sorted(glob.glob(under(glob.escape(root), "sys/bus/iio/devices/iio:device*/energy_value")))
    rails: List[Rail] = []
    reason = ""
    for path in paths:
        try:
            rails += [Rail(name, "rail") for name in parse(read_line(path)) if name not in names_of(rails)]
        except MeterError as problem:
            reason = reason or str(problem)
    return [Odpm(paths, rails, reason)] if rails or reason else []
