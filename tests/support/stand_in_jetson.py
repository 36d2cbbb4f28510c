"""A Jetson that is not there: a folder with its files and programs, in the formats of its JetPack. It says that it is a stand-in.

The agent is told of the folder by ``EDGEKIT_STAND_IN`` and calls the device a stand-in from then on: in the probe, in evidence, in the
verdict (provisional) and in every report. Its programs are tests/support/stand_in_trtexec.py and
stand_in_programs.py.
"""

from __future__ import annotations

import json
import shlex
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TRTEXEC = Path(__file__).with_name("stand_in_trtexec.py")
_OTHERS = Path(__file__).with_name("stand_in_programs.py")
_PACKAGES = Path(__file__).with_name("stand_in_packages")
_ARM = "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n"


@dataclass(frozen=True)
class Release:
    """What one JetPack shows on one board."""

    jetpack: str
    release: str
    tensorrt: str
    cuda: str
    model: str
    compatible: tuple[str, ...]
    modes: dict[str, str]
    tegrastats: str
    rails: dict[str, float]  # watts, by the names that the board's power monitor gives them

    @property
    def soc(self) -> str:
        return self.compatible[-1].partition(",")[2]


RELEASES = {
    "4.6.1": Release(
        "4.6.1", "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: Sat Feb 19 17:05:08 UTC 2022",
        "8.2.1", "10.2.300", "NVIDIA Jetson Nano Developer Kit", ("nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210"),
        {"0": "MAXN", "1": "5W"},
        "RAM 1103/3956MB (lfb 491x4MB) SWAP 0/1978MB (cached 0MB) CPU [5%%@102,2%%@102,0%%@102,0%%@102] EMC_FREQ 0%% GR3D_FREQ 0%% PLL@23C "
        "CPU@25.5C PMIC@100C GPU@24C AO@31C thermal@24.75C POM_5V_IN 2166/2166 POM_5V_GPU 40/40 POM_5V_CPU 283/283",
        {"POM_5V_IN": 2.166, "POM_5V_GPU": 0.04, "POM_5V_CPU": 0.283},
    ),
    "6.0": Release(
        "6.0", "# R36 (release), REVISION: 3.0, GCID: 36923193, BOARD: generic, EABI: aarch64, DATE: Fri Jul 19 23:24:25 UTC 2024",
        "8.6.2", "12.2.140", "NVIDIA Jetson Orin Nano Developer Kit", ("nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"),
        {"0": "15W", "1": "7W"},
        "%(stamp)s RAM 2448/7620MB (lfb 2x4MB) SWAP 0/3810MB (cached 0MB) CPU [1%%@729,0%%@729,0%%@729,0%%@729,0%%@729,0%%@729] GR3D_FREQ 0%% "
        "cpu@47.5C soc2@46.5C soc0@46.9C gpu@47.9C tj@47.9C soc1@46.7C VDD_IN 4552mW/4552mW VDD_CPU_GPU_CV 520mW/520mW VDD_SOC 1417mW/1417mW",
        {"VDD_IN": 4.552, "VDD_CPU_GPU_CV": 0.52, "VDD_SOC": 1.417},
    ),
    "6.2": Release(
        "6.2", "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025",
        "10.3.0", "12.6.68", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        ("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"), {"0": "15W", "1": "25W", "2": "MAXN_SUPER"},
        "%(stamp)s RAM 2448/7620MB (lfb 2x4MB) SWAP 0/3810MB (cached 0MB) CPU [1%%@729,0%%@729,0%%@729,0%%@729,0%%@729,0%%@729] GR3D_FREQ 0%% "
        "cpu@47.5C soc2@46.5C soc0@46.9C gpu@47.9C tj@47.9C soc1@46.7C VDD_IN 5263mW/5263mW VDD_CPU_GPU_CV 520mW/520mW VDD_SOC 1417mW/1417mW",
        {"VDD_IN": 5.263, "VDD_CPU_GPU_CV": 0.52, "VDD_SOC": 1.417},
    ),
    "7.2": Release(
        "7.2", "# R39 (release), REVISION: 2.0, GCID: 45755727, BOARD: generic, EABI: aarch64, DATE: Mon Jun  1 12:00:00 UTC 2026",
        "10.16.2", "13.2.0", "NVIDIA Jetson AGX Thor Developer Kit", ("nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"),
        {"0": "MAXN", "1": "120W"},
        "%(stamp)s RAM 3448/125772MB (lfb 2x4MB) CPU [1%%@972,0%%@972] cpu@40.1C tj@42.2C gpu@41.0C "
        "VDD_GPU 3174mW/3174mW/3174mW VDD_CPU_SOC_MSS 7933mW/7933mW/7933mW VIN_SYS_5V0 5445mW/5445mW/5445mW VIN 27770mW/27770mW/27770mW",
        {"VIN": 27.77, "VDD_GPU": 3.174, "VDD_CPU_SOC_MSS": 7.933, "VIN_SYS_5V0": 5.445},
    ),
}  # fmt: skip
#: TensorRT 11 has no JetPack of its own yet: it is shown on the board of 7.2.
TENSORRT = {"8.2.1": "4.6.1", "8.6.2": "6.0", "10.3.0": "6.2", "10.16.2": "7.2", "11.4.1": "7.2"}


@dataclass
class StandIn:
    """One stand-in below ``root``.

    Args:
        tensorrt: its version; that of the release unless said.
        behaviour: of its programs: killed, out_of_memory, no_gpu (bool), build_s, compute_ms, refused_operators, needs_reboot,
            gpu_clock_stays (jetson_clocks cannot lock the GPU's).
        trtexec: whether there is one.
        package: whether TensorRT's Python package is there, with CUDA's runtime library.
    """

    root: Path
    release: Release
    tensorrt: str | None = None
    behaviour: dict[str, Any] = field(default_factory=dict)
    trtexec: bool = True
    package: bool = False
    readable_sensors: bool = True
    jetson_clocks: bool = True

    def __post_init__(self) -> None:
        release = self.release
        self._write("etc/nv_tegra_release", release.release + "\n")
        self._write("etc/edgekit-stand-in", "stand-in Jetson: its programs replay documented text\n")
        self._write("proc/device-tree/model", release.model + "\0")
        self._write("proc/device-tree/compatible", "\0".join([*release.compatible, ""]))
        self._write("proc/cpuinfo", _ARM)
        self._write("proc/sys/kernel/arch", "aarch64\n")
        self._write(f"usr/lib/aarch64-linux-gnu/libnvinfer.so.{self.version}", "")
        if release.cuda.startswith("10"):
            self._write("usr/local/cuda/version.txt", f"CUDA Version {release.cuda}\n")
        else:
            self._write("usr/local/cuda/version.json", json.dumps({"cuda": {"name": "CUDA SDK", "version": release.cuda}}))
        conf = "".join(f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1\n" for number, name in release.modes.items())
        self._write("etc/nvpmodel.conf", conf + "< PM_CONFIG DEFAULT=0 >\n")
        self._write("var/lib/nvpmodel/status", "pmode:0000 fmode:quiet\n")
        self._sensors()
        self._configure()
        (self.root / "run").mkdir()
        names = {"nvpmodel": "usr/sbin", "tegrastats": "usr/bin", "sudo": "usr/bin"}
        if self.jetson_clocks:
            names["jetson_clocks"] = "usr/bin"
        if self.trtexec:
            names["trtexec"] = "usr/src/tensorrt/bin"
        for name, folder in names.items():
            self._program(name, folder)

    @property
    def version(self) -> str:
        return self.tensorrt or self.release.tensorrt

    @property
    def environment(self) -> dict[str, str]:
        """Of the agent."""
        found = {"EDGEKIT_STAND_IN": str(self.root), "EDGEKIT_METER_ROOT": str(self.root)}
        if self.package:
            found |= {"PYTHONPATH": str(_PACKAGES), "STAND_IN_CONFIG": str(self.root / "stand-in.json")}
        return found

    @property
    def become(self) -> tuple[str, ...]:
        return (str(self.root / "usr/bin/sudo"), "-n")

    @property
    def power_mode(self) -> str:
        """The number that is in force."""
        return (self.root / "var/lib/nvpmodel/status").read_text().split()[0].partition(":")[2].lstrip("0") or "0"

    @property
    def locked_clocks(self) -> set[str]:
        """Which of cpu, gpu and emc jetson_clocks holds at their highest."""
        path = self.root / "clocks.json"
        clocks = json.loads(path.read_text()) if path.exists() else {}
        return {name for name, highest in (("cpu", 1510400), ("gpu", 624750000), ("emc", 1)) if clocks.get(name) == highest}

    def behave(self, **behaviour: Any) -> None:
        self.behaviour = behaviour
        self._configure()

    def _configure(self) -> None:
        packages = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        release = self.release
        config = {
            "tensorrt": self.version, "jetpack": release.jetpack, "board": release.model, "soc": release.soc, "modes": release.modes,
            "status": str(self.root / "var/lib/nvpmodel/status"), "clocks": str(self.root / "clocks.json"), "tegrastats": release.tegrastats, "packages": packages,
            **self.behaviour,
        }  # fmt: skip
        self._write("stand-in.json", json.dumps(config))

    def _program(self, name: str, folder: str) -> None:
        program = _TRTEXEC if name == "trtexec" else _OTHERS
        words = shlex.join([sys.executable, "-I", "-S", str(program), name, str(self.root / "stand-in.json")])
        self._write(f"{folder}/{name}", f'#!/bin/sh\nexec {words} "$@"\n')
        (self.root / folder / name).chmod(0o755)

    def _sensors(self) -> None:
        """The power monitor as JetPack 4 (iio) or later ones (hwmon) show it."""
        if self.release.jetpack.startswith("4"):
            device = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
            for number, (name, watts) in enumerate(self.release.rails.items()):
                self._write(f"{device}/rail_name_{number}", name + "\n")
                self._write(f"{device}/in_power{number}_input", f"{round(watts * 1e3)}\n")
            readings = [self.root / device / f"in_power{number}_input" for number in range(len(self.release.rails))]
        else:
            device = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
            for number, (name, watts) in enumerate(list(self.release.rails.items())[:3], 1):
                self._write(f"{device}/in{number}_label", name + "\n")
                self._write(f"{device}/in{number}_input", "5000\n")
                self._write(f"{device}/curr{number}_input", f"{round(watts / 5 * 1e3)}\n")
            readings = list((self.root / device).glob("curr*_input"))
        if not self.readable_sensors:
            for path in readings:
                path.chmod(0)

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def stand_in(root: Path, jetpack: str = "6.2", **options: Any) -> StandIn:
    return StandIn(root, RELEASES[jetpack], **options)


def stand_in_of(tensorrt: str, root: Path, **options: Any) -> StandIn:
    """The board whose JetPack has this version of TensorRT."""
    return StandIn(root, RELEASES[TENSORRT[tensorrt]], tensorrt=tensorrt, **options)
