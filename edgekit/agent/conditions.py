"""Under which conditions a burst was timed: clocks, temperatures, throttling, and what other programs took.

The guardian reads before and after each burst, never during one. Every reader takes a root folder, so that tests build the tree of
any board. What cannot be read is ``None``, and ``reasons`` says why: a virtual machine tells no clock, many boards no throttling.
"""

from __future__ import annotations

import glob
import os
import re
import time
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .kernel_text import (
    CpuTime,
    parse_count,
    parse_cpu_times,
    parse_pressure,
    parse_process_time,
    parse_raspberry_flags,
    parse_temperature,
    parse_waited,
    ticks_per_s,
)
from .memory import read_text

MAX_ZONES = 32
MAX_COUNTERS = 64
_SLOW_S = 0.01  # a sensor behind a slow bus would make every gap between bursts long, and the device cool
_CPU = "sys/devices/system/cpu"
RASPBERRY_FLAGS = "get_throttled"
_RASPBERRY_NOW = 0xF  # under-voltage, frequency capped, throttled, soft temperature limit


class Snapshot(NamedTuple):
    """What was read at one moment; counters count since the system or the process started."""

    at_s: float
    timing: Optional[CpuTime]
    machine: Optional[CpuTime]
    own_s: Optional[float]
    waited_s: Dict[str, float]  # by thread: a thread that has ended takes its count along
    pressure_s: Optional[float]
    clocks_hz: Optional[List[float]]
    temperatures_c: List[Optional[float]]
    counters: List[Optional[int]]


class Sensors:
    """What there is to read on this machine; looked for once.

    Args:
        cpus: those that candidates are timed on; all of them where that is not known.
        root: where ``/`` is.
    """

    def __init__(self, cpus: Sequence[int], root: str = "/") -> None:
        self._root = root
        self._cpus = list(cpus)
        self.reasons: Dict[str, str] = {}
        self._clock_files = self._find_clocks()
        self._zones = self._find_zones()
        self._counters = self._find_counters()
        if parse_cpu_times(read_text(os.path.join(root, "proc/stat")), self._cpus)[0] is None:
            self.reasons["load"] = "there is no /proc/stat that tells the time of each CPU"
        if not read_text(os.path.join(root, "proc/self/schedstat")):
            self.reasons["waited"] = "the kernel does not count how long a thread waits for a CPU (/proc/PID/schedstat)"
        if parse_pressure(read_text(os.path.join(root, "proc/pressure/cpu"))) is None:
            self.reasons["pressure"] = "the kernel keeps no pressure-stall information (/proc/pressure/cpu)"

    def describe(self) -> Dict[str, Any]:
        """What the readings mean, in their order; the same for a whole run."""
        return {
            "cpus": self._cpus,
            "machine_cpus": len(re.findall("^cpu[0-9]", read_text(self._path("proc/stat")), re.MULTILINE)) or 1,
            "tick_s": 1.0 / ticks_per_s(),
            "zones": [{"name": name, "passive_c": passive} for name, _, passive in self._zones],
            "counters": self.counter_names,
            "governor": read_text(self._path(_CPU, "cpu%d" % self._one_cpu(), "cpufreq/scaling_governor"), 64).strip() or None,
            "reasons": self.reasons,
        }

    @property
    def counter_names(self) -> List[str]:
        return [name for name, _ in self._counters]

    def read(self, pid: int) -> Snapshot:
        """Everything now; ``pid`` is the worker's, whose own time is not somebody else's load."""
        stat = read_text(self._path("proc/stat"))
        timing, machine = parse_cpu_times(stat, self._cpus)
        process = self._path("proc", str(pid))
        return Snapshot(
            at_s=time.monotonic(),
            timing=timing,
            machine=machine,
            own_s=parse_process_time(read_text(os.path.join(process, "stat"), 4096)),
            waited_s=_waited(os.path.join(process, "task")),
            pressure_s=parse_pressure(read_text(self._path("proc/pressure/cpu"), 4096)),
            clocks_hz=self._clocks(),
            temperatures_c=[parse_temperature(read_text(path, 64)) for _, path, _ in self._zones],
            counters=[_read_counter(name, path) for name, path in self._counters],
        )

    def _path(self, *parts: str) -> str:
        return os.path.join(self._root, *parts)

    def _one_cpu(self) -> int:
        return self._cpus[-1] if self._cpus else 0

    # ------------------------------------------------------------ what there is
    def _find_clocks(self) -> List[str]:
        found = []
        for cpu in self._cpus or [0]:
            path = self._path(_CPU, "cpu%d" % cpu, "cpufreq/scaling_cur_freq")
            if parse_count(read_text(path, 64)) is None:
                self.reasons["clock"] = "the kernel tells no clock of CPU %d (no cpufreq; a virtual machine has none)" % cpu
                return []
            found.append(path)
        return found

    def _clocks(self) -> Optional[List[float]]:
        khz = [parse_count(read_text(path, 64)) for path in self._clock_files]
        return [value * 1e3 for value in khz if value is not None] if khz and None not in khz else None

    def _find_zones(self) -> List[Tuple[str, str, Optional[float]]]:
        zones: List[Tuple[str, str, Optional[float]]] = []
        slow = 0
        folders = sorted(glob.glob(self._path("sys/class/thermal/thermal_zone*")), key=_number_at_end)
        for folder in folders[:MAX_ZONES]:
            path = os.path.join(folder, "temp")
            start = time.monotonic()
            temperature = parse_temperature(read_text(path, 64))
            if time.monotonic() - start > _SLOW_S:
                slow += 1
            elif temperature is not None:
                name = read_text(os.path.join(folder, "type"), 64).strip() or os.path.basename(folder)
                zones.append((name, path, _passive_c(folder)))
        if not zones:
            self.reasons["temperature"] = (
                "its %d thermal zones take over %g ms to read" % (slow, _SLOW_S * 1e3)
                if slow
                else "there is no thermal zone to read"
            )
        return zones

    def _find_counters(self) -> List[Tuple[str, str]]:
        """Counts and flags that rise, or are set, when something holds the clock down.

        x86: how often a core or the package was throttled. Jetson: over-current events of soctherm (hwmon ``oc*_event_cnt``).
        Raspberry Pi: the firmware's word of flags (``get_throttled``), which the kernel shows without ``vcgencmd``.
        """
        found: List[Tuple[str, str]] = []
        for cpu in self._cpus or [0]:
            for kind in ("core", "package"):
                path = self._path(_CPU, "cpu%d" % cpu, "thermal_throttle/%s_throttle_count" % kind)
                found.append(("cpu%d %s throttle count" % (cpu, kind), path))
        events = sorted(glob.glob(self._path("sys/class/hwmon/hwmon*/oc*_event_cnt")))
        found += [(os.path.basename(path), path) for path in events]
        for pattern in ("*/*firmware", "*firmware"):
            flags = sorted(glob.glob(self._path("sys/devices/platform", pattern, "get_throttled")))
            found += [(RASPBERRY_FLAGS, path) for path in flags]
        found = [(name, path) for name, path in found if _read_counter(name, path) is not None][:MAX_COUNTERS]
        if not found:
            self.reasons["throttling"] = "this kernel has no count or flag of throttling that edgekit knows"
        return found


def between(before: Snapshot, after: Snapshot, counter_names: Sequence[str]) -> Dict[str, Any]:
    """The reading of one burst: what passed between two snapshots, and the state at its end.

    ``busy_s`` and ``stolen_s`` are of the timing CPUs, ``machine_busy_s`` of all; ``own_s`` is the worker's own CPU time and
    ``waited_s`` how long its threads were ready to run and others ran. ``throttled`` names the counters that rose.
    """
    reading: Dict[str, Any] = {
        "window_s": max(0.0, after.at_s - before.at_s),
        "busy_s": None,
        "stolen_s": None,
        "machine_busy_s": None,
        "own_s": None,
        "waited_s": None,
        "pressure_s": None,
        "clocks_hz": after.clocks_hz,
        "temperatures_c": after.temperatures_c,
        "throttled": [],
    }
    if before.timing is not None and after.timing is not None:
        reading["busy_s"] = max(0.0, after.timing.busy_s - before.timing.busy_s)
        reading["stolen_s"] = max(0.0, after.timing.stolen_s - before.timing.stolen_s)
    if before.machine is not None and after.machine is not None:
        reading["machine_busy_s"] = max(0.0, after.machine.busy_s - before.machine.busy_s)
    if before.own_s is not None and after.own_s is not None:
        reading["own_s"] = max(0.0, after.own_s - before.own_s)
    if before.waited_s and after.waited_s:
        reading["waited_s"] = sum(max(0.0, value - before.waited_s.get(name, value)) for name, value in after.waited_s.items())
    if before.pressure_s is not None and after.pressure_s is not None:
        reading["pressure_s"] = max(0.0, after.pressure_s - before.pressure_s)
    for name, old, new in zip(counter_names, before.counters, after.counters):  # noqa: B905 - Python 3.8
        if new is not None and (new & _RASPBERRY_NOW if name == RASPBERRY_FLAGS else old is not None and new > old):
            reading["throttled"].append(name)
    return reading


def _read_counter(name: str, path: str) -> Optional[int]:
    return (parse_raspberry_flags if name == RASPBERRY_FLAGS else parse_count)(read_text(path, 64))


def _waited(folder: str) -> Dict[str, float]:
    try:
        threads = os.listdir(folder)
    except OSError:
        return {}
    found = {name: parse_waited(read_text(os.path.join(folder, name, "schedstat"), 128)) for name in threads}
    return {name: waited for name, waited in found.items() if waited is not None}


def _passive_c(zone: str) -> Optional[float]:
    """At which temperature the kernel begins to slow this zone's devices down: its lowest trip point of the type ``passive``."""
    points = []
    for path in glob.glob(os.path.join(zone, "trip_point_*_type")):
        if read_text(path, 32).strip() == "passive":
            temperature = parse_temperature(read_text(path[: -len("type")] + "temp", 32))
            if temperature is not None:
                points.append(temperature)
    return min(points) if points else None


def _number_at_end(path: str) -> int:
    found = re.search(r"([0-9]{1,9})\Z", path)
    return int(found.group(1)) if found else 0
