"""Meters that are programs or a driver's library: their text, and stand-ins for them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.meters import PMIC, TEGRASTATS, write_program, write_tree

from edgekit.agent.meters import MeterError, discover, nvml, pmic, tegrastats


# ---------------------------------------------------------------- tegrastats
@pytest.mark.parametrize("board", TEGRASTATS)
def test_lines_of_every_board(board: str) -> None:
    line, expected = TEGRASTATS[board]
    assert tegrastats.parse_line(line) == pytest.approx(expected)


def test_what_has_another_unit_is_no_rail() -> None:
    assert tegrastats.parse_line("RAM 613/3964MB SWAP 0/1982MB IRAM 0/252kB EMC_FREQ 7%@408 APE 25 CPU@40C X 1/2/3/4 VDD 5") == {}


def test_a_channel_that_nothing_is_connected_to_is_no_rail() -> None:
    """An AGX Orin of JetPack 5 prints two of them."""
    line = "GPU@38.1C VDD_GPU_SOC 4000mW/4100mW NC 0mW/0mW VDD_CPU_CV 800mW/900mW NC 0mW/0mW"
    assert tegrastats.parse_line(line) == {"VDD_GPU_SOC": 4.0, "VDD_CPU_CV": 0.8}


@given(st.text(max_size=500))
@example("VDD_IN 9" + "9" * 400 + "/1")
@example("A 1/1 " * 500)
def test_garbage_gives_few_numbers_or_nothing(text: str) -> None:
    values = tegrastats.parse_line(text)
    assert len(values) <= 64
    assert all(abs(value) <= 1e6 for value in values.values())


def board_that_prints(root: Path, line: str, *, then: str = "") -> None:
    write_program(
        root, tegrastats.PATHS[0], f'test "$1" = --interval || exit 9\nwhile :; do echo "{line}"; sleep 0.05; {then}\ndone'
    )


def test_the_program_runs_only_between_start_and_close(tmp_path: Path) -> None:
    board_that_prints(tmp_path, TEGRASTATS["orin nano"][0])
    (meter,) = discover(str(tmp_path), "tegrastats")
    assert (meter.total, meter.scope, meter.reason) == (["VDD_IN"], "module (VDD_IN)", "")
    meter.start()
    try:
        assert meter.read() == pytest.approx(TEGRASTATS["orin nano"][1])
        process = meter._process  # type: ignore[attr-defined]
        assert process.poll() is None
    finally:
        meter.close()
    assert process.poll() is not None
    meter.close()  # may be called again


def test_a_program_that_says_nothing_useful_or_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tegrastats, "_FIRST_LINE_S", 0.3)
    monkeypatch.setattr(tegrastats, "_STALE_S", 0.2)
    board_that_prints(tmp_path, "RAM 1/2MB")
    assert "printed no rail within" in discover(str(tmp_path), "tegrastats")[0].reason
    board_that_prints(tmp_path, "VDD_IN 1/1 VDD_SOC 1/1", then="break")
    (meter,) = discover(str(tmp_path), "tegrastats")
    meter.start()
    try:
        assert meter.read() == {"VDD_IN": 0.001, "VDD_SOC": 0.001}
        time.sleep(0.3)
        with pytest.raises(MeterError, match="has printed nothing for"):
            meter.read()
    finally:
        meter.close()


def test_nobody_waits_for_a_program_that_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tegrastats, "_FIRST_LINE_S", 600.0)
    write_program(tmp_path, tegrastats.PATHS[0], "exit 126")
    assert "printed no rail before it ended" in discover(str(tmp_path), "tegrastats")[0].reason


def test_a_rail_that_a_line_lacks(tmp_path: Path) -> None:
    meter = tegrastats.Tegrastats("tegrastats", "VDD_IN 5/5 VDD_SOC 1/1", "")
    meter._last, meter._last_s = {"VDD_IN": 1.0}, time.monotonic()
    with pytest.raises(MeterError, match="without VDD_SOC"):
        meter.read()


# ---------------------------------------------------------------- Raspberry Pi 5
def test_currents_and_voltages_are_paired_by_name() -> None:
    found = pmic.parse(PMIC)
    assert set(found) == {"3V7_WL_SW", "3V3_SYS", "DDR_VDDQ", "VDD_CORE"}, "the 5 V input has no current"
    assert found["VDD_CORE"] == pytest.approx(6.22421 * 0.861733)
    assert found["DDR_VDDQ"] == 0.0


def test_a_raspberry_pi_5(tmp_path: Path) -> None:
    write_program(tmp_path, "usr/bin/vcgencmd", f'test "$1" = pmic_read_adc || exit 1\ncat <<END\n{PMIC}END')
    (meter,) = discover(str(tmp_path), "rpi-pmic")
    assert set(meter.total) == set(meter.read())
    assert "estimated" in meter.scope
    write_program(tmp_path, "usr/bin/vcgencmd", "echo ' VDD_CORE_A current(7)=1.0A'")
    with pytest.raises(MeterError, match="is without 3V7_WL_SW"):
        meter.read()
    write_program(tmp_path, "usr/bin/vcgencmd", "exit 3")
    with pytest.raises(MeterError, match="ended with status 3"):
        meter.read()


def test_an_older_raspberry_pi_has_no_such_meter(tmp_path: Path) -> None:
    write_program(tmp_path, "usr/bin/vcgencmd", "echo 'error=1 error_msg=\"Command not registered\"'")
    assert discover(str(tmp_path)) == []
    write_program(tmp_path, "usr/bin/vcgencmd", "exit 255")
    assert discover(str(tmp_path)) == []


@pytest.mark.parametrize("status", [0, 255])
def test_a_raspberry_pi_5_whose_firmware_may_not_be_asked(status: int, tmp_path: Path) -> None:
    write_program(tmp_path, "usr/bin/vcgencmd", f'echo "Can\'t open device file: /dev/vcio"\nexit {status}')
    write_tree(tmp_path, {"proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0"})
    (meter,) = discover(str(tmp_path))
    assert (meter.name, meter.rails, meter.total) == ("rpi-pmic", [], [])
    assert "Can't open device file: /dev/vcio" in meter.reason
    assert "group `video`" in meter.reason


@given(st.text(max_size=400))
@example("A_A current(0)=1" + "0" * 300 + "A\nA_V volt(0)=1V")
@example("A_A current(0)=nanA\nA_V volt(0)=infV")
def test_garbage_from_the_firmware_gives_finite_numbers_or_nothing(text: str) -> None:
    assert all(abs(value) <= 1e12 for value in pmic.parse(text).values())


# ---------------------------------------------------------------- NVML
class Library:
    """Two cards, of which the second may be too old."""

    def __init__(self, *, old: bool = False, broken: bool = False) -> None:
        self.old, self.broken, self.millijoules = old, broken, 5_000

    def nvmlInit_v2(self) -> int:  # noqa: N802 - the library's name
        return 9 if self.broken else 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802 - the library's name
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802 - the library's name
        handle._obj.value = 100 + index.value
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, value: Any) -> int:  # noqa: N802 - the library's name
        if self.old and handle.value == 101:
            return 3
        value._obj.value = self.millijoules * (handle.value - 99)
        return 0


def test_the_counters_of_two_cards() -> None:
    (meter,) = nvml.find("/", Library())
    assert meter.read() == pytest.approx({"gpu0": 5.0, "gpu1": 10.0})
    assert (meter.kind, meter.automatic, meter.rails[0].scope) == ("counter", False, "GPU")


def test_a_card_without_a_counter_and_a_driver_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no energy counter" in nvml.find("/", Library(old=True))[0].reason
    assert nvml.find("/", Library(broken=True)) == []
    assert nvml.find("/nowhere") == []
    monkeypatch.setattr(nvml, "LIBRARY", "libno-such-driver.so.1")
    assert nvml.find("/") == []
