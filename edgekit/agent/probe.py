"""What the device is: board, processor, memory, runtimes, what can be set and read. Nothing is changed.

No other program is run but for facts that only one tells: ``sysctl`` (macOS), ``getprop`` (Android), ``nvpmodel`` and
``jetson_clocks`` (Jetson), ``nvidia-smi``, some power meters.
"""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
import sys
from typing import Any, Dict, List, Optional, Sequence

from .board import GETPROP, android_property, facts_root, read_board, stand_in_sign
from .controls import cpu_policies, disk_free_bytes, power_sensors, thermal_zones
from .files import guest_home
from .jetson import nvidia_runtimes, read_jetson
from .memory import available_bytes, read_text, total_bytes
from .meters import meter_root

RUNTIMES = (
    "onnxruntime", "openvino", "ai-edge-litert", "tflite-runtime", "tensorflow", "tensorflow-cpu", "tensorrt", "numpy",
)  # fmt: skip
_X86 = ("x86_64", "amd64", "i386", "i486", "i586", "i686")


def probe(become: Sequence[str] = ()) -> Dict[str, Any]:
    """The device's facts, as the protocol's ``probe`` answers them; ``None`` is what could not be read.

    Args:
        become: goes before what this user may not ask.
    """
    cpuinfo = read_text("/proc/cpuinfo")
    emulation, stand_in = emulation_sign(platform.machine(), cpuinfo), stand_in_sign()
    root, machine = facts_root(), platform.machine()
    if root != "/":  # the board that a stand-in stands for
        cpuinfo = read_text(os.path.join(root, "proc/cpuinfo"))
        machine = read_text(os.path.join(root, "proc/sys/kernel/arch"), 40).strip() or machine
    board = read_board(root, android_property if os.path.exists(GETPROP) else None)
    sensors = power_sensors(meter_root())
    return {
        "kind": "emulated" if emulation else "stand-in" if stand_in else "real",
        "emulation_sign": emulation,
        "stand_in_sign": stand_in,
        "system": platform.system(),
        "machine": machine,
        "python": platform.python_version(),
        "address_bits": 8 * struct.calcsize("P"),
        "libc": c_library(),
        "in_venv": sys.prefix != sys.base_prefix,
        "can_make_venv": can_make_venv(),
        "board": board.name,
        "board_ids": board.ids,
        "cpu_model": cpu_model(cpuinfo),
        "cpu_features": cpu_features(cpuinfo),
        "cores": cores(),
        "memory_bytes": total_bytes(),
        "memory_available_bytes": available_bytes(),
        "disk_free_bytes": disk_free_bytes(guest_home()),
        "runtimes": {**nvidia_runtimes(root, board.ids), **runtimes()},
        "governor": read_text(os.path.join(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")).strip() or None,
        "policies": cpu_policies(root),
        "thermal_zones": thermal_zones(root),
        "power_sensors": sensors,
        "power_reason": "" if sensors else "no power sensor was found; `meter` names one that cannot be found by itself",
        "kernel": platform.release(),
        "jetson": read_jetson(root, become),
    }


def c_library() -> str:
    """The C library with its version, such as "glibc 2.36"; empty where Python cannot tell (musl, Android, macOS)."""
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").strip()[:40]
    except (AttributeError, ValueError, OSError):
        return ""


def can_make_venv() -> bool:
    """Whether ``python -m venv`` gives an environment with pip: Debian and its kin keep that in a package of its own."""
    import importlib.util  # slow to import on a small board, and only needed here

    return all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip"))


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
    import importlib.metadata  # slow to import on a small board, and only needed here

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
    - or it runs this very program: that shows in the one link to it that user-mode QEMU does not rewrite;
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
    program = program_of_this_thread()
    if os.path.basename(program).startswith("qemu-"):
        return "this program is run by %s" % program
    interpreter = "qemu-%s" % ("x86_64" if machine.lower() == "amd64" else machine.lower())
    if read_text("/proc/sys/fs/binfmt_misc/" + interpreter).startswith("enabled"):
        return "programs of this architecture are run by %s" % interpreter
    if sys.platform == "darwin" and _sysctl("sysctl.proc_translated") == "1":
        return "this process is translated by Rosetta"
    return None


def program_of_this_thread() -> str:
    try:
        return os.readlink("/proc/thread-self/exe")
    except OSError:
        return ""


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
