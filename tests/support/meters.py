"""Trees of the kernel's files and programs of boards, as the documentation of each meter shows them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def write_tree(root: Path, files: Mapping[str, object]) -> Path:
    """Files by path below ``root``, each with a line end as the kernel writes it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def write_program(root: Path, name: str, script: str) -> Path:
    """A shell script in the place of a board's program."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


POWERCAP = "sys/class/powercap"


def rapl_tree(root: Path) -> Path:
    """Two packages with subzones, psys, and the second interface to the first package."""
    zones = {
        "intel-rapl:0": ("package-0", 1_000_000, 262_143_328_850),
        "intel-rapl:0:0": ("core", 5, 262_143_328_850),
        "intel-rapl:0:1": ("dram", 7, 65_712_999_613),
        "intel-rapl:1": ("package-1", 2_000_000, 262_143_328_850),
        "intel-rapl:2": ("psys", 9_000_000, 262_143_328_850),
        "intel-rapl-mmio:0": ("package-0", 3_000_000, 262_143_328_850),
    }
    for zone, (name, energy, most) in zones.items():
        at = f"{POWERCAP}/{zone}"
        write_tree(root, {f"{at}/name": name, f"{at}/energy_uj": energy, f"{at}/max_energy_range_uj": most})
    return root


IDLE_W = 4.0


@contextmanager
def driven_counters(root: Path, net_w: Callable[[], float]) -> Iterator[None]:
    """A stand-in for RAPL: both packages count IDLE_W / 2 each, package-0 ``net_w`` more. They start again from 0 every 20 J."""
    ended = threading.Event()
    zones = [rapl_tree(root) / POWERCAP / f"intel-rapl:{index}" for index in (0, 1)]
    for zone in zones:
        (zone / "max_energy_range_uj").write_text("20000000\n")

    def drive() -> None:
        joules = [15.0, 3.0]
        before = time.monotonic()
        while not ended.wait(0.002):
            now = time.monotonic()
            powers = IDLE_W / 2 + net_w(), IDLE_W / 2
            for index, zone in enumerate(zones):
                joules[index] = (joules[index] + powers[index] * (now - before)) % 20.0
                (zone / "next").write_text(f"{int(joules[index] * 1e6)}\n")
                (zone / "next").replace(zone / "energy_uj")  # never half a number
            before = now

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


INA3221 = "sys/bus/i2c/drivers/ina3221"


def ina3221_tree(root: Path, rails: Mapping[str, tuple[int, int]], *, chip: str = "1-0040", hwmon: str = "hwmon1") -> Path:
    """JetPack 5: {label: (mV, mA)}, and the channels that are no rails."""
    at = f"{INA3221}/{chip}/hwmon/{hwmon}"
    files: dict[str, object] = {f"{at}/name": "ina3221", f"{at}/in7_label": "sum of shunt voltages", f"{at}/in7_input": 90}
    for number, (label, (millivolts, milliamperes)) in enumerate(rails.items(), 1):
        files |= {
            f"{at}/in{number}_label": label, f"{at}/in{number}_input": millivolts, f"{at}/in{number}_enable": 1,
            f"{at}/curr{number}_input": milliamperes, f"{at}/in{number + 3}_input": 12,
        }  # fmt: skip
    return write_tree(root, files)


ORIN_NANO = {"VDD_IN": (5072, 1040), "VDD_CPU_GPU_CV": (5072, 216), "VDD_SOC": (5064, 288)}
AGX_ORIN = {"VDD_GPU_SOC": (4968, 640), "VDD_CPU_CV": (4968, 160), "VIN_SYS_5V0": (4976, 900)}

PMIC = """\
 3V7_WL_SW_A current(0)=0.09368929A
   3V3_SYS_A current(1)=0.08783370A
  DDR_VDDQ_A current(4)=0.00000000A
  VDD_CORE_A current(7)=6.22421000A
 3V7_WL_SW_V volt(8)=3.69977600V
   3V3_SYS_V volt(9)=3.31003300V
  DDR_VDDQ_V volt(12)=0.60146460V
  VDD_CORE_V volt(15)=0.86173300V
     EXT5V_V volt(24)=5.09066000V
      BATT_V volt(25)=0.00000000V
"""
ODPM = """\
t=349894
CH0(T=349894)[S10M_VDD_TPU], 5578756
CH1(T=349894)[VSYS_PWR_MODEM], 29110940
CH3(T=349894)[S2M_VDD_CPUCL2], 30203502
"""

TEGRASTATS = {
    "nano, JetPack 4": (
        "RAM 613/3964MB (lfb 634x4MB) SWAP 0/1982MB (cached 0MB) IRAM 0/252kB(lfb 252kB) CPU [2%@102,1%@102,0%@102,off] EMC_FREQ "
        "0% GR3D_FREQ 0% APE 25 PLL@39C CPU@40.5C PMIC@100C thermal@41C POM_5V_IN 900/943 POM_5V_GPU 0/0 POM_5V_CPU 123/123",
        {"POM_5V_IN": 0.9, "POM_5V_GPU": 0.0, "POM_5V_CPU": 0.123},
    ),
    "orin nano": (
        "11-21-2025 08:49:48 RAM 2505/7775MB (lfb 9x4MB) SWAP 0/3887MB (cached 0MB) CPU [2%@2035,0%@2035] GR3D_FREQ 45% cpu@38.25C "
        "tj@38.25C VDD_IN 5263mW/5190mW VDD_CPU_GPU_CV 1095mW/1001mW VDD_SOC 1458mW/1450mW",
        {"VDD_IN": 5.263, "VDD_CPU_GPU_CV": 1.095, "VDD_SOC": 1.458},
    ),
    "agx orin, no total": (
        "RAM 13983/62780MB (lfb 424x4MB) EMC_FREQ 1%@2133 GR3D_FREQ 14%@[407,407] NVDLA0_FREQ @1600 APE 174 CV0@73.625C "
        "VDD_GPU_SOC 3150mW/2971mW VDD_CPU_CV 14312mW/12415mW VIN_SYS_5V0 4968mW/5048mW VDDQ_VDD2_1V8AO 1091mW/1091mW",
        {"VDD_GPU_SOC": 3.15, "VDD_CPU_CV": 14.312, "VIN_SYS_5V0": 4.968, "VDDQ_VDD2_1V8AO": 1.091},
    ),
    "thor, three fields, a minus sign": (
        "RAM 3405/125772MB (lfb 16x4MB) CPU [0%@972] gpu@36.1C VDD_GPU -392mW/0mW/786mW VDD_CPU_SOC_MSS 3924mW/3924mW/4317mW "
        "VIN_SYS_5V0 4640mW/4640mW/4647mW VIN 23000mW/22900mW/24100mW",
        {"VDD_GPU": -0.392, "VDD_CPU_SOC_MSS": 3.924, "VIN_SYS_5V0": 4.64, "VIN": 23.0},
    ),
}
