"""RAPL: the energy counters of x86 processors, through the kernel's powercap files.

https://docs.kernel.org/power/powercap/powercap.html. AMD's counters appear under the same names. Since Linux 5.10 the counters
can be read by root only (CVE-2020-8694), unless the administrator changes the files' mode.
"""

from __future__ import annotations

import glob
import os
from typing import Dict, List, Tuple

from .base import Meter, MeterError, Rail, optional_integer, optional_line, rail_name, read_integer, under

_PERIOD_S = 0.001  # the processor renews its counters about every millisecond
_MAX_ZONES = 32


class Rapl(Meter):
    """The counters of the processor packages. Cores, graphics and memory are parts of a package and are not added to it again."""

    name = "rapl"
    kind = "counter"

    def __init__(self, zones: List[Tuple[Rail, str]], reason: str) -> None:
        rails = [rail for rail, _ in zones]
        packages = [rail.name for rail in rails if rail.scope == "package"]
        super().__init__(rails, packages, "processor packages", period_s=_PERIOD_S, resolution=1e-6, reason=reason)
        self._paths = {rail.name: path for rail, path in zones}
        for rail, path in zones:
            range_uj = optional_integer(os.path.join(path, "max_energy_range_uj"))
            if range_uj:
                self.ranges_j[rail.name] = range_uj * 1e-6

    def read(self) -> Dict[str, float]:
        return {name: read_integer(os.path.join(path, "energy_uj")) * 1e-6 for name, path in self._paths.items()}


def find(root: str) -> List[Meter]:
    """The packages and, where there is one, "psys" (the whole platform, which holds the packages: never in the sum)."""
    pattern = under(glob.escape(root), "sys/class/powercap/intel-rapl:*")
    zones: List[Tuple[Rail, str]] = []
    for path in sorted(glob.glob(pattern))[:_MAX_ZONES]:
        if os.path.basename(path).count(":") != 1:
            continue  # intel-rapl:0:1 is a part of intel-rapl:0
        label = optional_line(os.path.join(path, "name"))
        scope = "package" if label.startswith("package") else "platform" if label == "psys" else "rail"
        taken = [rail.name for rail, _ in zones]
        zones.append((Rail(rail_name(label, taken, os.path.basename(path).replace(":", "-")), scope), path))
    if not zones:
        return []
    return [Rapl(zones, _reason(zones))]


def _reason(zones: List[Tuple[Rail, str]]) -> str:
    for _, path in zones:
        counter = os.path.join(path, "energy_uj")
        try:
            read_integer(counter)
        except MeterError as problem:
            if os.path.exists(counter) and not os.access(counter, os.R_OK):
                return (
                    "%s can be read by root only; until the next start of the device this lets every user read it: "
                    "sudo chmod a+r %s" % (counter, os.path.join(os.path.dirname(path), "intel-rapl*/energy_uj"))
                )
            return str(problem)
    return ""
