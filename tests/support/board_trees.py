"""What boards show of themselves: files in the formats of their kernels, and the facts that the probe makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.agent.board import read_board
from edgekit.agent.controls import cpu_policies, thermal_zones
from edgekit.agent.probe import cpu_features, cpu_model
from edgekit.devices.facts import facts_from_probe
from edgekit.types import DeviceFacts

_GOVERNORS = "conservative ondemand userspace powersave performance schedutil"


@dataclass(frozen=True)
class BoardTree:
    """``profile``: the one it should be recognized as; ``clusters``: {first core: its cores}; ``properties``: Android's."""

    profile: str
    family: str
    files: Mapping[str, str]
    kernel: str
    machine: str = "aarch64"
    system: str = "Linux"
    clusters: Mapping[int, str] = field(default_factory=lambda: {0: "0 1 2 3"})
    governor: str = "schedutil"
    zones: tuple[str, ...] = ("cpu-thermal",)
    properties: Mapping[str, str] = field(default_factory=dict)

    def build(self, root: Path) -> Path:
        """Its files below ``root``."""
        for name, text in self.files.items():
            _write(root / name, text)
        for first, cores in self.clusters.items():
            policy = root / f"sys/devices/system/cpu/cpufreq/policy{first}"
            _write(policy / "affected_cpus", cores + "\n")
            _write(policy / "scaling_governor", self.governor + "\n")
            _write(policy / "scaling_available_governors", _GOVERNORS + " \n")
        for number, zone in enumerate(self.zones):
            _write(root / f"sys/class/thermal/thermal_zone{number}/type", zone + "\n")
        return root

    def facts(self, root: Path) -> DeviceFacts:
        """What the agent's readers and the host make of the tree."""
        self.build(root)
        cpuinfo = self.files.get("proc/cpuinfo", "")
        board = read_board(str(root), (lambda name: self.properties.get(name, "")) if self.properties else None)
        answer: dict[str, Any] = {
            "kind": "real", "stand_in_sign": None, "system": self.system, "machine": self.machine, "python": "3.11.2",
            "address_bits": 64, "libc": "glibc 2.36", "in_venv": False, "can_make_venv": True,
            "board": board.name, "board_ids": board.ids, "cpu_model": cpu_model(cpuinfo),
            "cpu_features": cpu_features(cpuinfo), "cores": 4, "memory_bytes": None, "memory_available_bytes": None,
            "disk_free_bytes": None, "runtimes": {}, "governor": self.governor, "policies": cpu_policies(str(root)),
            "thermal_zones": thermal_zones(str(root)), "power_sensors": [], "power_reason": "", "kernel": self.kernel,
        }  # fmt: skip
        return facts_from_probe(answer)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _device_tree(model: str, *compatible: str, cpuinfo: str = "") -> dict[str, str]:
    files = {"proc/device-tree/model": model + "\0", "proc/device-tree/compatible": "\0".join([*compatible, ""])}
    return {**files, "proc/cpuinfo": cpuinfo}


def _arm(part: str, tail: str = "") -> str:
    core = f"processor\t: 0\nFeatures\t: fp asimd crc32\nCPU implementer\t: 0x41\nCPU part\t: {part}\n"
    return f"{core}\n{tail}"


def _pc(vendor: str, product: str, model: str) -> dict[str, str]:
    return {
        "sys/class/dmi/id/sys_vendor": vendor + "\n",
        "sys/class/dmi/id/product_name": product + "\n",
        "sys/class/dmi/id/board_vendor": vendor + "\n",
        "sys/class/dmi/id/board_name": "Default string\n",
        "proc/cpuinfo": f"vendor_id\t: GenuineIntel\nmodel name\t: {model}\nflags\t\t: avx2\n",
    }


_JETSON_6 = ("cpu-thermal", "gpu-thermal", "cv0-thermal", "soc0-thermal", "tj-thermal")
_TWO_PAIRS = {0: "0 1", 2: "2 3", 4: "4 5"}

BOARDS: dict[str, BoardTree] = {
    "Raspberry Pi 4": BoardTree(
        "raspberry-pi-4", "raspberry-pi",
        _device_tree("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b", "brcm,bcm2711",
                     cpuinfo=_arm("0xd08", "Revision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n")),
        "6.6.51+rpt-rpi-v8",
    ),
    "Raspberry Pi Compute Module 4": BoardTree(
        "raspberry-pi-4", "raspberry-pi",
        _device_tree("Raspberry Pi Compute Module 4 Rev 1.0", "raspberrypi,4-compute-module", "brcm,bcm2711"), "6.8.0-1018-raspi",
    ),
    "Raspberry Pi 5": BoardTree(
        "raspberry-pi-5", "raspberry-pi",
        _device_tree("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712",
                     cpuinfo=_arm("0xd0b", "Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n")),
        "6.12.20+rpt-rpi-2712",
    ),
    "Raspberry Pi Zero 2 W": BoardTree(
        "raspberry-pi-zero-2-w", "raspberry-pi",
        _device_tree("Raspberry Pi Zero 2 W Rev 1.0", "raspberrypi,model-zero-2-w", "brcm,bcm2837"), "6.18.34+rpt-rpi-v8",
    ),
    "Raspberry Pi 3": BoardTree(
        "generic-arm64", "raspberry-pi",
        _device_tree("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberrypi,3-model-b-plus", "brcm,bcm2837"), "6.6.51+rpt-rpi-v8",
    ),
    "Jetson Nano": BoardTree(
        "jetson-nano", "jetson",
        _device_tree("NVIDIA Jetson Nano Developer Kit",
                     "nvidia,p3449-0000-b00+p3448-0000-b00", "nvidia,jetson-nano", "nvidia,tegra210"),
        "4.9.337-tegra", governor="schedutil",
        zones=("AO-therm", "CPU-therm", "GPU-therm", "PLL-therm", "PMIC-Die", "thermal-fan-est"),
    ),
    "Jetson Xavier NX": BoardTree(
        "jetson-xavier-nx", "jetson",
        _device_tree("NVIDIA Jetson Xavier NX Developer Kit", "nvidia,p3449-0000+p3668-0000", "nvidia,p3509-0000+p3668-0000",
                     "nvidia,tegra194"),
        "5.10.120-tegra", clusters=_TWO_PAIRS, zones=("CPU-therm", "GPU-therm", "AUX-therm", "AO-therm", "PMIC-Die"),
    ),
    "Jetson Orin Nano": BoardTree(
        "jetson-orin-nano", "jetson",
        _device_tree("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
                     "nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"),
        "5.15.148-tegra", clusters={0: "0 1 2 3", 4: "4 5"}, zones=_JETSON_6,
    ),
    "Jetson Orin NX": BoardTree(
        "jetson-orin-nano", "jetson",
        _device_tree("NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
                     "nvidia,p3768-0000+p3767-0000", "nvidia,p3767-0000", "nvidia,tegra234"),
        "5.15.148-tegra",
    ),
    "Jetson AGX Orin": BoardTree(
        "jetson-agx-orin", "jetson",
        _device_tree("NVIDIA Jetson AGX Orin Developer Kit",
                     "nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"),
        "5.15.148-tegra", clusters={0: "0 1 2 3", 4: "4 5 6 7", 8: "8 9 10 11"}, zones=_JETSON_6,
    ),
    "Jetson Thor": BoardTree(
        "jetson-thor", "jetson",
        _device_tree("NVIDIA Jetson AGX Thor Developer Kit",
                     "nvidia,p4071-0000+p3834-0008", "nvidia,p3834-0008", "nvidia,tegra264"),
        "6.8.12-tegra", zones=("soc012-thermal", "cpu-thermal", "gpu-thermal", "tj-thermal"),
    ),
    "Jetson AGX Xavier": BoardTree(
        "generic-arm64", "jetson", _device_tree("Jetson-AGX", "nvidia,p2972-0000", "nvidia,tegra194"), "4.9.253-tegra",
    ),
    "RK3588": BoardTree(
        "rk3588", "rockchip", _device_tree("RK3588 OPi 5 Plus", "rockchip,rk3588-orangepi-5-plus", "rockchip,rk3588"),
        "6.1.43-rockchip-rk3588", clusters={0: "0 1 2 3", 4: "4 5", 6: "6 7"},
        zones=("soc-thermal", "bigcore0-thermal", "bigcore1-thermal", "littlecore-thermal", "gpu-thermal", "npu-thermal"),
    ),
    "RK3588S": BoardTree(
        "rk3588", "rockchip", _device_tree("Orange Pi 5", "rockchip,rk3588s-orangepi-5", "rockchip,rk3588s"), "6.12.0",
    ),
    "Intel N100": BoardTree(
        "intel-n100", "intel-n", _pc("AZW", "EQ", "Intel(R) N100"), "6.8.0-45-generic", machine="x86_64",
        clusters={0: "0", 1: "1", 2: "2", 3: "3"}, governor="powersave", zones=("acpitz", "x86_pkg_temp", "TCPU"),
    ),
    "Intel Core Ultra": BoardTree(
        "intel-core-ultra", "intel-core-ultra", _pc("LENOVO", "21KC", "Intel(R) Core(TM) Ultra 7 155H"), "6.8.0-45-generic",
        machine="x86_64",
    ),
    "a server": BoardTree(
        "generic-x86-64", "generic", _pc("Dell Inc.", "PowerEdge R650", "Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz"),
        "6.8.0-45-generic", machine="x86_64", clusters={},
    ),
    "Pixel 8": BoardTree(
        "pixel-8", "android", {"proc/cpuinfo": _arm("0xd46")}, "5.15.148-android14-11-gabcdef", system="Android",
        clusters={0: "0 1 2 3", 4: "4 5 6 7", 8: "8"}, governor="sched_pixel", zones=("BIG", "MID", "LITTLE", "G3D", "TPU", "ISP"),
        properties={"ro.product.manufacturer": "Google", "ro.product.model": "Pixel 8", "ro.product.device": "shiba",
                    "ro.soc.model": "Tensor G3", "ro.board.platform": "zuma"},
    ),
    "Snapdragon 8 phone": BoardTree(
        "snapdragon-8", "android", {"proc/cpuinfo": _arm("0xd46")}, "6.1.57-android14-11", system="Linux",
        clusters={0: "0 1", 2: "2 3 4", 5: "5 6", 7: "7"}, governor="walt",
        properties={"ro.product.manufacturer": "samsung", "ro.product.model": "SM-S921U", "ro.product.device": "e1q",
                    "ro.soc.model": "SM8650", "ro.board.platform": "pineapple"},
    ),
    "another phone": BoardTree(
        "generic-arm64", "android", {"proc/cpuinfo": _arm("0xd05")}, "5.10.198-android12-9", system="Linux",
        properties={"ro.product.manufacturer": "ACME", "ro.product.model": "One", "ro.soc.model": "MT6789"},
    ),
    "a container that hides its board": BoardTree("generic-arm64", "jetson", {}, "5.15.148-tegra", clusters={}, zones=()),
}  # fmt: skip
