"""What of this device can be read and set: governors, thermal zones, power sensors, disk. Nothing is set here."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Dict, List, Optional

from .memory import read_text
from .meters import discover

_MAX_POLICIES = 64
_MAX_ZONES = 64
_MAX_GOVERNORS = 16


def cpu_policies(root: str = "/") -> List[Dict[str, Any]]:
    """Each group of cores with one clock: ``{name, cpus, governor, available, settable}``, in the order of their numbers.

    https://docs.kernel.org/admin-guide/pm/cpufreq.html. Kernels before 4.3 have no ``policy`` folders, only each core's own.
    """
    cpu = os.path.join(glob.escape(root), "sys/devices/system/cpu")
    folders = glob.glob(os.path.join(cpu, "cpufreq/policy[0-9]*")) or glob.glob(os.path.join(cpu, "cpu[0-9]*/cpufreq"))
    return [_policy(folder) for folder in sorted(folders, key=_numbers)[:_MAX_POLICIES]]


def _policy(folder: str) -> Dict[str, Any]:
    governor_file = os.path.join(folder, "scaling_governor")
    name = os.path.basename(folder)
    cpus = read_text(os.path.join(folder, "affected_cpus"), 4096) or read_text(os.path.join(folder, "related_cpus"), 4096)
    return {
        "name": name if name != "cpufreq" else os.path.basename(os.path.dirname(folder)),
        "cpus": " ".join(cpus.split()),
        "governor": read_text(governor_file, 64).strip() or None,
        "available": read_text(os.path.join(folder, "scaling_available_governors"), 1024).split()[:_MAX_GOVERNORS],
        "settable": os.access(governor_file, os.W_OK),
    }


def thermal_zones(root: str = "/") -> List[str]:
    """The types of the kernel's thermal zones, in the order of their numbers."""
    folders = sorted(glob.glob(os.path.join(glob.escape(root), "sys/class/thermal/thermal_zone[0-9]*")), key=_numbers)
    types = (read_text(os.path.join(folder, "type"), 64).strip() for folder in folders[:_MAX_ZONES])
    return [name for name in types if name]


def power_sensors(root: str = "/") -> List[Dict[str, Any]]:
    """The meters that the agent finds by itself: ``{name, scope, rails, reason}``; ``reason`` says why one cannot be read."""
    return [
        {"name": meter.name, "scope": meter.scope, "rails": [rail.name for rail in meter.rails], "reason": meter.reason}
        for meter in discover(root)
    ]


def disk_free_bytes(path: str) -> Optional[int]:
    """Free for this user in the folder that holds ``path``, or in the nearest one that exists."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        there = os.statvfs(path)
    except OSError:
        return None
    return there.f_bavail * there.f_frsize


def _numbers(path: str) -> List[int]:
    return [int(digits) for digits in re.findall(r"\d{1,9}", path.rpartition("/sys/")[2])]
