"""Boards: what is known of a kind before one is at hand, and what a device says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DeviceKind = Literal["real", "emulated", "stand-in"]


@dataclass(frozen=True)
class Profile:
    """What is known of a kind of board before one is at hand. Read from ``device_profiles/*.toml``."""

    name: str
    family: str
    arch: str
    targets: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    memory_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    peak: dict[str, float] = field(default_factory=dict)
    power_modes: tuple[str, ...] = ()
    rails: tuple[dict[str, str], ...] = ()
    runtimes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class CpuPolicy:
    """Cores that share a clock, and who chooses it (Linux cpufreq).

    ``governor``: the one in force, ``None`` where it cannot be read; ``available``: those that can be asked for; ``settable``: the
    agent's user may write it without help.
    """

    name: str
    cpus: str
    governor: str | None
    available: tuple[str, ...] = ()
    settable: bool = False


@dataclass(frozen=True)
class PowerSensor:
    """A meter that the agent found: what it measures, its rails, and, where it cannot be read as it is, why (otherwise empty)."""

    name: str
    scope: str
    rails: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Jetson:
    """What an NVIDIA Jetson says of itself; ``None`` is what it does not tell, and ``reasons`` says why.

    ``l4t``: the release of Jetson Linux, ``jetpack``: the JetPack that brings it. ``power_mode``: nvpmodel's, by name;
    ``power_modes``: those that can be set. ``gpu_clock_hz``: the lowest and highest that the GPU may have now; ``clocks_locked``:
    they are the same.
    """

    l4t: str | None
    jetpack: str | None
    power_mode: str | None
    power_modes: tuple[str, ...] = ()
    gpu_clock_hz: tuple[float, float] | None = None
    clocks_locked: bool | None = None
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceFacts:
    """What the agent's probe read on the device.

    Attributes:
        board: the maker's name of the board or product; ``None`` where nothing tells it.
        board_ids: what drivers know it by (the device tree's ``compatible``, an Android product and its chip), most special first.
        address_bits: 32 or 64, of the agent's Python: a 64-bit kernel may run a 32-bit system.
        libc: the C library with its version, such as ``glibc 2.36``; empty where it cannot be told. Wheels depend on it.
        in_venv: the agent's Python is that of a virtual environment; ``can_make_venv``: it can make one (Debian splits that off).
        disk_free_bytes: free for this user where the agent keeps its files.
        policies: groups of cores and their governors; empty on virtual machines and where the kernel has none.
        power_reason: why ``power_sensors`` is empty.
        stand_in: the device says that it stands in for another one, so its times are not that one's.
        jetson: of NVIDIA's Jetson boards only.
    """

    kind: DeviceKind
    system: str
    machine: str
    python: str
    cpu_model: str
    cpu_features: tuple[str, ...]
    cores: int
    memory_bytes: int | None
    memory_available_bytes: int | None
    runtimes: dict[str, str]
    governor: str | None = None
    kernel: str = ""
    board: str | None = None
    board_ids: tuple[str, ...] = ()
    address_bits: int | None = None
    libc: str = ""
    in_venv: bool = False
    can_make_venv: bool = True
    disk_free_bytes: int | None = None
    policies: tuple[CpuPolicy, ...] = ()
    thermal_zones: tuple[str, ...] = ()
    power_sensors: tuple[PowerSensor, ...] = ()
    power_reason: str = ""
    stand_in: bool = False
    jetson: Jetson | None = None


@dataclass(frozen=True)
class Site:
    """Where an artifact is to run: the profile, and the facts of a device when one is at hand."""

    profile: Profile
    device: DeviceFacts | None = None
