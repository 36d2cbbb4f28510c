"""What the device is: processor, memory, runtimes. Read-only, no other program is run on Linux."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from typing import Any, Dict, List, Optional

from .memory import available_bytes, read_text, total_bytes

RUNTIMES = ("onnxruntime", "openvino", "ai-edge-litert", "tflite-runtime", "tensorrt", "numpy")
_X86 = ("x86_64", "amd64", "i386", "i486", "i586", "i686")


def probe() -> Dict[str, Any]:
    """The device's facts, as the protocol's ``probe`` answers them; ``None`` is what could not be read."""
    cpuinfo = read_text("/proc/cpuinfo")
    return {
        "kind": "emulated" if emulation_sign(platform.machine(), cpuinfo) else "real",
        "emulation_sign": emulation_sign(platform.machine(), cpuinfo),
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpu_model": cpu_model(cpuinfo),
        "cpu_features": cpu_features(cpuinfo),
        "cores": cores(),
        "memory_bytes": total_bytes(),
        "memory_available_bytes": available_bytes(),
        "runtimes": runtimes(),
        "governor": read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "kernel": platform.release(),
    }


def _field(cpuinfo: str, name: str) -> str:
    found = re.search(r"^%s\s*:\s*(.*)$" % re.escape(name), cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else ""


def cpu_model(cpuinfo: str) -> str:
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string")
    model = _field(cpuinfo, "model name") or _field(cpuinfo, "Model") or _field(cpuinfo, "Hardware")
    if model:
        return model
    implementer, part = _field(cpuinfo, "CPU implementer"), _field(cpuinfo, "CPU part")
    if implementer:
        board = read_text("/proc/device-tree/model").rstrip("\0\n")
        return ("%s (implementer %s part %s)" % (board or "ARM", implementer, part)).strip()
    return platform.processor() or "unknown"


def cpu_features(cpuinfo: str) -> List[str]:
    if sys.platform == "darwin":
        flags = _sysctl("machdep.cpu.features") + " " + _sysctl("machdep.cpu.leaf7_features")
        names = {flag.lower() for flag in flags.split()}
        for line in _sysctl_lines("hw.optional.arm"):
            name, _, value = line.partition(":")
            if value.strip() == "1":
                names.add(name.rpartition(".")[2].lower())
        return sorted(names)
    return sorted(set((_field(cpuinfo, "flags") or _field(cpuinfo, "Features")).split()))


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def runtimes() -> Dict[str, str]:
    """Installed runtimes with their versions, from the packages' metadata: nothing is imported."""
    found: Dict[str, str] = {}
    for name in RUNTIMES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def emulation_sign(machine: str, cpuinfo: str) -> Optional[str]:
    """What says that instructions are emulated here; ``None`` when nothing does. A virtual machine on a real processor is real.

    - user-mode QEMU shows the host's ``/proc/cpuinfo``, or the kernel has an interpreter registered for its own architecture;
    - QEMU's built-in processor models name themselves (x86 "QEMU Virtual CPU", "QEMU TCG CPU"; Arm ``max``: implementer 0, part
    0x051);
    - Rosetta: ``sysctl.proc_translated``.
    """
    is_x86 = machine.lower() in _X86
    if not is_x86 and _field(cpuinfo, "vendor_id") in ("GenuineIntel", "AuthenticAMD"):
        return "/proc/cpuinfo is of an x86 processor, the machine says %s" % machine
    if "qemu" in _field(cpuinfo, "model name").lower():
        return "the processor calls itself %s" % _field(cpuinfo, "model name")
    if _field(cpuinfo, "CPU implementer").lower() in ("0x0", "0x00") and _field(cpuinfo, "CPU part").lower() in ("0x51", "0x051"):
        return "the processor is QEMU's own model"
    interpreter = "qemu-%s" % ("x86_64" if machine.lower() == "amd64" else machine.lower())
    if read_text("/proc/sys/fs/binfmt_misc/" + interpreter).startswith("enabled"):
        return "programs of this architecture are run by %s" % interpreter
    if sys.platform == "darwin" and _sysctl("sysctl.proc_translated") == "1":
        return "this process is translated by Rosetta"
    return None


def _sysctl(name: str) -> str:
    return "\n".join(_sysctl_lines(name, "-n"))


def _sysctl_lines(name: str, *options: str) -> List[str]:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", *options, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode("utf-8", "replace").split("\n")[:512] if done.returncode == 0 else []
