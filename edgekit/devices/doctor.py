"""What a device lacks for deploying to it, and the exact command for each. Looking changes nothing there.

A finding's steps are fixed lists of words, made here: none holds text that came from the device or an option of the user's other
than ``python`` and ``become``, whose characters the inventory limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import DeviceUnavailableError, EdgekitError
from ..targets import DeviceRuntime
from ..types import DeviceFacts
from .inventory import Device
from .plan import Timeouts
from .session import AgentSession
from .store import LOCAL

LOW_MEMORY_BYTES = 1_000_000_000
LOW_DISK_BYTES = 2_000_000_000
NO_DISK_BYTES = 500_000_000
VENV = ".local/share/edgekit/venv"  # in the login's home folder, where a remote command starts
_OLDEST_GLIBC = (2, 27)  # manylinux_2_27, the oldest that the runtimes' wheels for both architectures are built for
_ALLOW_RAPL = (
    "find", "-L", "/sys/class/powercap", "-maxdepth", "2", "-path", "*/intel-rapl:*", "-name", "energy_uj",
    "-exec", "chmod", "a+r", "{}", "+",
)  # fmt: skip

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Step:
    """One command on the device, as a list of words. ``as_root``: it needs the device's ``become``.

    ``sets_python``: after it, the device's ``python`` should be this one.
    """

    argv: tuple[str, ...]
    as_root: bool = False
    sets_python: str | None = None


@dataclass(frozen=True)
class DeviceFinding:
    """One thing that was looked at. ``steps`` mend it; ``hint`` is for people, where no fixed command does."""

    level: Level
    subject: str
    text: str
    hint: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """``facts`` is None, and ``error`` says why, where no agent could be started."""

    findings: list[DeviceFinding]
    facts: DeviceFacts | None = None
    error: EdgekitError | None = None

    @property
    def exit_code(self) -> int:
        """0, or 3 when something that a run needs is missing, or that of ``error``."""
        if self.error is not None:
            return self.error.exit_code
        return 3 if any(finding.level == "problem" for finding in self.findings) else 0


def diagnose_device(device: Device, runtimes: Callable[[DeviceFacts], Sequence[DeviceRuntime]], *, timeouts: Timeouts) -> Diagnosis:
    """Connect, probe and try the lease.

    Args:
        runtimes: what the targets need that one would want to run on such a device, likeliest first.
    """
    try:
        with AgentSession(device.transport, {}, timeouts=timeouts, become=device.become) as session:
            facts = session.probe()
            lease = _lease(session)
    except EdgekitError as problem:
        return Diagnosis([DeviceFinding("problem", "agent", _sentence(problem), problem.hint)], error=problem)
    return Diagnosis([*examine(facts, device, runtimes(facts)), lease], facts)


def _lease(session: AgentSession) -> DeviceFinding:
    try:
        with session.lease(purpose="edgekit devices doctor"):
            return DeviceFinding("ok", "lease", "free")
    except DeviceUnavailableError as problem:
        return DeviceFinding("note", "lease", _sentence(problem), problem.hint)
    except EdgekitError as problem:
        hint = "make /run/lock or /tmp a folder that every user may write to, and remove what lies there as edgekit.lease"
        return DeviceFinding("problem", "lease", _sentence(problem), hint)


def _sentence(problem: EdgekitError) -> str:
    return f"{problem.what}: {problem.why}" if problem.why else problem.what


def examine(facts: DeviceFacts, device: Device, runtimes: Sequence[DeviceRuntime]) -> list[DeviceFinding]:
    """What the facts say, in the order of a report; ``runtimes`` as of :func:`diagnose_device`."""
    return [
        *_system(facts),
        *_packages(facts, device, runtimes),
        *_space(facts),
        *_clocks(facts, device),
        *_sensors(facts),
    ]


def _system(facts: DeviceFacts) -> Iterator[DeviceFinding]:
    text = f"Python {facts.python}, {facts.system} {facts.machine}, {facts.libc or 'C library unknown'}"
    if facts.address_bits == 32:
        yield DeviceFinding(
            "problem", "system", f"{text}: a 32-bit system, for which no runtime has packages", "install a 64-bit one"
        )
    elif facts.system == "Linux" and not _glibc_suffices(facts.libc):
        yield DeviceFinding(
            "note", "system", f"{text}: the runtimes' packages are built for glibc {'.'.join(map(str, _OLDEST_GLIBC))} or later",
            "use a system with a newer glibc, or build the runtime there",
        )  # fmt: skip
    else:
        yield DeviceFinding("ok", "system", text)
    if facts.kind != "real":
        yield DeviceFinding("note", "kind", f"{facts.kind}: outputs can be checked here, times say nothing of a real board")
    yield DeviceFinding("ok" if facts.board else "note", "board", facts.board or "it does not say which board it is")


def _glibc_suffices(libc: str) -> bool:
    name, _, version = libc.partition(" ")
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return name == "glibc" and tuple(numbers) >= _OLDEST_GLIBC


def _packages(facts: DeviceFacts, device: Device, runtimes: Sequence[DeviceRuntime]) -> Iterator[DeviceFinding]:
    needed = [DeviceRuntime(("numpy",)), *runtimes]
    for runtime in needed:
        present = _present(facts, runtime)
        if present is not None:
            yield DeviceFinding("ok", present, facts.runtimes[present])
    lacking = [runtime for runtime in needed if _present(facts, runtime) is None]
    for runtime in lacking:
        if runtime.comes_with:
            text = "not installed for the agent's Python; it comes with the board's own software"
            yield DeviceFinding("note", runtime.packages[0], text, runtime.comes_with)
    missing = [runtime.packages[0] for runtime in lacking if not runtime.comes_with]
    if not missing:
        return
    level: Level = "problem" if "numpy" in missing or all(runtime in lacking for runtime in runtimes) else "note"
    text = f"not installed for {device.python}"
    steps = () if facts.address_bits == 32 else install_steps(facts, device, missing)
    for index, name in enumerate(missing):
        yield DeviceFinding(level, name, text, steps=steps if index == 0 else ())


def _present(facts: DeviceFacts, runtime: DeviceRuntime) -> str | None:
    return next((name for name in runtime.packages if name in facts.runtimes), None)


def install_steps(facts: DeviceFacts, device: Device, packages: Sequence[str]) -> tuple[Step, ...]:
    """Commands that install ``packages`` for the agent: in the environment that it runs in, or in one of its own.

    Only wheels are taken: nothing is compiled on the device, and pip chooses those of its Python and processor; an old pip does not
    know today's, so it comes first. An environment of its own leaves the system's Python alone and still sees its packages, such as
    those of JetPack.
    """
    before: tuple[Step, ...] = ()
    python = device.python
    if not facts.in_venv:
        if not facts.can_make_venv:
            before = (Step(("apt-get", "install", "-y", _venv_package(facts.python)), as_root=True),)
        folder = str(Path.home() / VENV) if device.address == LOCAL else VENV
        python = f"{folder}/bin/python"
        before += (Step((device.python, "-m", "venv", "--system-site-packages", folder), sets_python=python),)
    pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--only-binary", ":all:")
    return (*before, Step((*pip, "--upgrade", "pip")), *(Step((*pip, package)) for package in packages))


def _venv_package(python_version: str) -> str:
    """Debian's and Ubuntu's name of it; digits alone are taken from what the device said."""
    found = re.match(r"3\.([0-9]{1,2})\.", python_version)
    return f"python3.{found.group(1)}-venv" if found else "python3-venv"


def _space(facts: DeviceFacts) -> Iterator[DeviceFinding]:
    if facts.memory_bytes is not None:
        low = facts.memory_bytes < LOW_MEMORY_BYTES
        text = f"{facts.memory_bytes / 1e9:.1f} GB" + (": models and runtimes of some size will not fit" if low else "")
        yield DeviceFinding("note" if low else "ok", "memory", text)
    free = facts.disk_free_bytes
    if free is None:
        yield DeviceFinding("note", "disk", "how much is free cannot be read")
    elif free < LOW_DISK_BYTES:
        level: Level = "problem" if free < NO_DISK_BYTES else "note"
        hint = "free some space; what edgekit keeps there can always go: rm -r ~/.cache/edgekit/blobs"
        yield DeviceFinding(level, "disk", f"only {free / 1e9:.1f} GB free", hint)
    else:
        yield DeviceFinding("ok", "disk", f"{free / 1e9:.1f} GB free")


def _clocks(facts: DeviceFacts, device: Device) -> Iterator[DeviceFinding]:
    if not facts.policies:
        yield DeviceFinding(
            "note", "governor", "the kernel shows no clocks (a virtual machine has none): a throttled run cannot be told"
        )
        return
    now = ", ".join(sorted({policy.governor or "unreadable" for policy in facts.policies}))
    if all(policy.settable for policy in facts.policies):
        yield DeviceFinding("ok", "governor", f"{now}; can be set")
    elif device.become:
        yield DeviceFinding("ok", "governor", f"{now}; can be set through {' '.join(device.become)}")
    else:
        yield DeviceFinding(
            "note", "governor", f"{now}; --governor cannot set it: this user may not, and the device has no `become`",
            f'if it may use sudo there without a password: edgekit devices add {_as_added(device)} --become "sudo -n"',
        )  # fmt: skip
    if not facts.thermal_zones:
        yield DeviceFinding("note", "temperature", "the kernel shows no thermal zone")


def _as_added(device: Device) -> str:
    """How `devices add` names it: one that is not kept has its address for a name, and needs another."""
    return f"{device.name} --update" if device.address == LOCAL or device.name != device.address else f"NAME {device.address}"


def _sensors(facts: DeviceFacts) -> Iterator[DeviceFinding]:
    if not facts.power_sensors:
        yield DeviceFinding("note", "power", facts.power_reason or "no power sensor was found")
    for sensor in facts.power_sensors:
        if not sensor.reason:
            yield DeviceFinding("ok", "power", f"{sensor.name} ({sensor.scope}): {', '.join(sensor.rails) or 'no rails'}")
        elif sensor.name == "rapl" and "root only" in sensor.reason:
            yield DeviceFinding(
                "note", "power", "rapl: its counters can be read by root only (they tell something of what other programs do)",
                "until the next start of the device, let every user read them",
                steps=(Step(_ALLOW_RAPL, as_root=True),),
            )  # fmt: skip
        else:
            yield DeviceFinding("note", "power", f"{sensor.name}: {sensor.reason}")
