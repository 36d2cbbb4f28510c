"""What the kernel's files say of time, clocks and temperatures: pure parsers. ``None`` is what they cannot make sense of."""

from __future__ import annotations

import os
import re
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

_COLDEST_C, _HOTTEST_C = -60.0, 200.0  # what lies outside is a sensor that is switched off or broken


class CpuTime(NamedTuple):
    """Seconds since the system started, summed over CPUs: not idle (with what was stolen), and stolen by a hypervisor."""

    busy_s: float
    stolen_s: float


def ticks_per_s() -> int:
    """The unit of the kernel's CPU times: 100 on every Linux of today."""
    try:
        return os.sysconf("SC_CLK_TCK")
    except (ValueError, OSError):
        return 100


def parse_cpu_times(stat: str, cpus: Sequence[int]) -> Tuple[Optional[CpuTime], Optional[CpuTime]]:
    """``/proc/stat``: of ``cpus`` together (all of them when none is named), and of the whole machine.

    A line is ``cpuN user nice system idle iowait irq softirq steal guest guest_nice``; guest is in user already.
    """
    of_cpu: Dict[str, CpuTime] = {}
    for line in stat.split("\n"):
        fields = line.split()
        if not fields or not re.match(r"cpu[0-9]*\Z", fields[0]):
            continue
        if len(fields) < 5 or not all(map(_is_count, fields[1:9])):
            continue
        ticks = [int(field) / ticks_per_s() for field in fields[1:9]] + [0.0] * 8
        user, nice, system, _, _, irq, softirq, stolen = ticks[:8]
        of_cpu[fields[0]] = CpuTime(user + nice + system + irq + softirq + stolen, stolen)
    machine = of_cpu.get("cpu")
    if not cpus:
        return machine, machine
    timing = [of_cpu.get("cpu%d" % cpu) for cpu in cpus]
    known = [each for each in timing if each is not None]
    if len(known) != len(cpus):
        return None, machine
    return CpuTime(sum(each.busy_s for each in known), sum(each.stolen_s for each in known)), machine


def parse_process_time(stat: str) -> Optional[float]:
    """User and system time of ``/proc/PID/stat`` in seconds, with that of its children that have ended: a runner's own loop is
    another program. The name in it may hold spaces and brackets.
    """
    fields = stat.rpartition(")")[2].split()[11:15]
    if len(fields) < 4 or not all(map(_is_count, fields)):
        return None
    return sum(map(int, fields)) / ticks_per_s()


def parse_waited(schedstat: str) -> Optional[float]:
    """``/proc/PID/task/TID/schedstat``: nanoseconds on a CPU, nanoseconds waiting for one, time slices -> seconds waited."""
    fields = schedstat.split()
    return int(fields[1]) * 1e-9 if len(fields) == 3 and all(map(_is_count, fields)) else None


def parse_pressure(text: str) -> Optional[float]:
    """``/proc/pressure/cpu``: seconds in which some task waited for a CPU (the line ``some ... total=MICROSECONDS``)."""
    found = re.search(r"^some .*\btotal=([0-9]{1,18})\s*$", text, re.MULTILINE)
    return int(found.group(1)) * 1e-6 if found else None


def parse_temperature(text: str) -> Optional[float]:
    """Degrees Celsius from the kernel's thousandths; ``None`` for what no sensor of a board that runs can say."""
    found = re.match(r"(-?[0-9]{1,9})\s*\Z", text)
    value = int(found.group(1)) / 1e3 if found else None
    return value if value is not None and _COLDEST_C < value < _HOTTEST_C and value != 0 else None


def parse_count(text: str) -> Optional[int]:
    plain = text.strip()
    return int(plain) if re.match(r"[0-9]{1,18}\Z", plain) else None


def parse_raspberry_flags(text: str) -> Optional[int]:
    """The firmware's word, hexadecimal with or without ``0x``: bits 0 to 3 hold now, 16 to 19 have held since it started."""
    plain = text.strip().lower()
    return int(plain, 16) if re.match(r"(0x)?[0-9a-f]{1,8}\Z", plain) else None


def _is_count(field: str) -> bool:
    return re.match(r"[0-9]{1,18}\Z", field) is not None
