"""What ``edgekit doctor`` looks at: this installation and this machine. It changes nothing and needs none of what it checks."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

Level = Literal["ok", "note", "problem"]

DISTRIBUTION = "edgekit-sdk"
#: Extras that are no capability of their own: everything at once, and the tools of those who work on edgekit.
COLLECTIVE_EXTRAS = frozenset({"all", "dev"})
#: Where a distribution's module is called otherwise.
MODULES = {"pillow": "PIL"}
#: CPU features that decide how fast low precision is, by the names of /proc/cpuinfo.
FEATURES = {
    "avx2": "8-bit arithmetic in 256-bit vectors",
    "avx512f": "512-bit vectors",
    "avx_vnni": "fast int8 dot products (VNNI, 256 bit)",
    "avx512_vnni": "fast int8 dot products (VNNI, 512 bit)",
    "avx512_bf16": "fast bfloat16",
    "amx_int8": "int8 matrix tiles (AMX)",
    "amx_bf16": "bfloat16 matrix tiles (AMX)",
    "asimddp": "fast int8 dot products (dotprod)",
    "i8mm": "int8 matrix multiply",
    "bf16": "fast bfloat16",
    "asimdhp": "float16 arithmetic",
}
INT8_FEATURES = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"})
LOW_MEMORY_BYTES = 2_000_000_000
LOW_DISK_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``broken`` is set when edgekit's core cannot work because of it."""

    level: Level
    subject: str
    text: str
    hint: str = ""
    broken: bool = False


def diagnose(root: Path = Path("/")) -> list[Finding]:
    """Every finding, in the order of a report. ``root`` is where /proc and /sys are looked for.

    Raises:
        Nothing: what cannot be read is a finding.
    """
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _core_packages,
        _extras,
        functools.partial(_cpu, root),
        functools.partial(_clocks, root),
        functools.partial(_memory, root),
        _disk,
    )
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[Finding]:
    text = f"{platform.python_version()} at {sys.executable}, {platform.system()} {platform.machine()}"
    tested = platform.system() == "Linux"
    yield Finding("ok" if tested else "note", "python", text, "" if tested else "edgekit is tested on Linux only")


def _core_packages() -> Iterator[Finding]:
    for distribution in requirements()[""]:
        try:
            importlib.import_module(MODULES.get(distribution, distribution))
            yield Finding("ok", distribution, metadata.version(distribution))
        except Exception as problem:  # noqa: BLE001  whatever a broken package raises when it is imported is the finding
            yield Finding(
                "problem",
                distribution,
                f"cannot be imported: {type(problem).__name__}: {problem}",
                f"pip install --force-reinstall {distribution}",
                broken=True,
            )


def _extras() -> Iterator[Finding]:
    for extra, distributions in requirements().items():
        if not extra or extra in COLLECTIVE_EXTRAS:
            continue
        missing = [name for name in distributions if _version(name) is None]
        if missing:
            yield Finding(
                "note", f"extra {extra}", f"not installed: {', '.join(missing)}", f"pip install '{DISTRIBUTION}[{extra}]'"
            )
        else:
            yield Finding("ok", f"extra {extra}", ", ".join(f"{name} {_version(name)}" for name in distributions))


def requirements() -> dict[str, list[str]]:
    """What the installed edgekit says it needs: {extra: names of distributions}; the core's own under the empty name."""
    found: dict[str, list[str]] = {"": []}
    for line in metadata.requires(DISTRIBUTION) or []:
        name = re.match(r"[A-Za-z0-9._-]+", line)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", line)
        if name is not None:
            found.setdefault(extra[1] if extra else "", []).append(name[0])
    return found


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cpu(root: Path) -> Iterator[Finding]:
    fields = _cpuinfo(root)
    if fields is None:
        yield Finding("note", "cpu", f"{platform.processor() or platform.machine()}; its features cannot be read on this system")
        return
    model = fields.get("model name") or fields.get("Model") or platform.machine()
    present = set((fields.get("flags") or fields.get("Features") or "").split())
    yield Finding("ok", "cpu", f"{model}, {_usable_cores()} usable cores")
    relevant = [name for name in FEATURES if name in present]
    if present & INT8_FEATURES:
        yield Finding("ok", "cpu features", ", ".join(f"{name} ({FEATURES[name]})" for name in relevant))
    else:
        listed = ", ".join(relevant) or "none of those that matter"
        yield Finding(
            "note", "cpu features", f"{listed}; no int8 dot products", "int8 may well be slower than float here: measure it"
        )


def _cpuinfo(root: Path) -> dict[str, str] | None:
    """The first processor's fields of /proc/cpuinfo; None where there is no such file."""
    text = _read(root / "proc/cpuinfo")
    if text is None:
        return None
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    return fields


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _clocks(root: Path) -> Iterator[Finding]:
    governor = _read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor is None:
        yield Finding("note", "governor", "cannot be read (common in virtual machines): clocks may vary during a measurement")
    elif governor == "performance":
        yield Finding("ok", "governor", governor)
    else:
        yield Finding(
            "note", "governor", f"{governor}: clocks follow the load", "steadier: sudo cpupower frequency-set -g performance"
        )
    no_turbo = _read(root / "sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = _read(root / "sys/devices/system/cpu/cpufreq/boost")
    if no_turbo == "0" or boost == "1":
        yield Finding("note", "turbo", "on: the first seconds of a measurement may run faster than the rest")
    elif no_turbo == "1" or boost == "0":
        yield Finding("ok", "turbo", "off")


def _memory(root: Path) -> Iterator[Finding]:
    text = _read(root / "proc/meminfo")
    if text is None:
        yield Finding("note", "memory", "cannot be read on this system")
        return
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    total, available = (int(fields[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    sizes = f"{available / 1e9:.1f} GB available of {total / 1e9:.1f} GB"
    if available < LOW_MEMORY_BYTES:
        yield Finding("note", "memory", sizes, "large models may not fit: close other programs")
    else:
        yield Finding("ok", "memory", sizes)


def _disk() -> Iterator[Finding]:
    from .state import cache_dir, state_dir

    for name, folder in (("cache folder", cache_dir()), ("state folder", state_dir())):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if not os.access(existing, os.W_OK):
            yield Finding("problem", name, f"{folder} cannot be written", "set EDGEKIT_HOME to a folder of yours", broken=True)
        elif free < LOW_DISK_BYTES:
            yield Finding("note", name, f"{folder}: only {free / 1e9:.1f} GB free", "set EDGEKIT_HOME to a roomier disk")
        else:
            yield Finding("ok", name, f"{folder}: {free / 1e9:.1f} GB free")


def _read(path: Path) -> str | None:
    """The text of a small file of the kernel's; None where it is not there or not readable."""
    try:
        return path.read_text().strip()
    except OSError:
        return None
