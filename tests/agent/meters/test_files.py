"""Meters that are files of the kernel's, on trees of every documented shape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.meters import AGX_ORIN, INA3221, ODPM, ORIN_NANO, POWERCAP, ina3221_tree, rapl_tree, write_tree

from edgekit.agent.meters import Meter, MeterError, battery, discover, hwmon, odpm


def only(root: Path, name: str) -> Meter:
    (meter,) = discover(str(root), name)
    return meter


# ---------------------------------------------------------------- RAPL
def test_rapl_adds_packages_and_neither_their_parts_nor_the_platform(tmp_path: Path) -> None:
    meter = only(rapl_tree(tmp_path), "rapl")
    assert meter.reason == ""
    assert (meter.kind, meter.total, meter.scope) == ("counter", ["package-0", "package-1"], "processor packages")
    assert {rail.name: rail.scope for rail in meter.rails} == {"package-0": "package", "package-1": "package", "psys": "platform"}
    assert meter.read() == pytest.approx({"package-0": 1.0, "package-1": 2.0, "psys": 9.0})
    assert meter.ranges_j["package-0"] == pytest.approx(262_143.32885)


def test_rapl_that_root_alone_may_read_says_how_to_change_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = rapl_tree(tmp_path) / POWERCAP / "intel-rapl:0" / "energy_uj"
    counter.chmod(0)
    if os.access(counter, os.R_OK):  # root reads everything
        counter.unlink()
        counter.mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    meter = only(tmp_path, "rapl")
    assert "root only" in meter.reason
    assert f"sudo chmod a+r {tmp_path}/{POWERCAP}/intel-rapl*/energy_uj" in meter.reason
    with pytest.raises(MeterError):
        meter.read()


@pytest.mark.parametrize("content", ["", "12.5", "many", "1" * 40, "0x10", "٣"])
def test_a_counter_that_is_no_number_is_a_reason(tmp_path: Path, content: str) -> None:
    write_tree(rapl_tree(tmp_path), {f"{POWERCAP}/intel-rapl:0/energy_uj": content})
    assert "not a whole number" in only(tmp_path, "rapl").reason


# ---------------------------------------------------------------- Jetson
def test_ina3221_multiplies_and_leaves_out_what_is_no_rail(tmp_path: Path) -> None:
    meter = only(ina3221_tree(tmp_path, ORIN_NANO), "ina3221")
    assert meter.read() == pytest.approx({"VDD_IN": 5.27488, "VDD_CPU_GPU_CV": 1.095552, "VDD_SOC": 1.458432})
    assert (meter.kind, meter.total, meter.scope, meter.period_s) == ("power", ["VDD_IN"], "module (VDD_IN)", 0.05)


def test_two_chips_disabled_and_unconnected_channels_and_no_total(tmp_path: Path) -> None:
    ina3221_tree(tmp_path, AGX_ORIN, hwmon="hwmon3")
    ina3221_tree(tmp_path, {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (4968, 80), "OFF": (1, 1)}, chip="1-0041", hwmon="hwmon4")
    at = f"{INA3221}/1-0041/hwmon/hwmon4"
    write_tree(tmp_path, {f"{at}/in3_enable": 0, f"{at}/update_interval": 200})
    meter = only(tmp_path, "ina3221")
    assert [rail.name for rail in meter.rails] == [*AGX_ORIN, "VDDQ_VDD2_1V8AO"]
    assert (meter.total, meter.scope, meter.period_s) == ([], "", 0.2)


def test_a_rail_that_reads_as_negative_or_goes_missing(tmp_path: Path) -> None:
    ina3221_tree(tmp_path, {"VDD_GPU": (4900, -80), "VDD_CPU": (4900, 100)})
    at = tmp_path / INA3221 / "1-0040" / "hwmon" / "hwmon1"
    meter = only(tmp_path, "ina3221")
    assert meter.read()["VDD_GPU"] == pytest.approx(-0.392)
    (at / "curr2_input").unlink()
    with pytest.raises(MeterError, match="curr2_input: No such file"):
        meter.read()
    assert [rail.name for rail in only(tmp_path, "ina3221").rails] == ["VDD_GPU"]
    (at / "in1_input").unlink()
    assert "in1_input" in only(tmp_path, "ina3221").reason


def test_jetpack_4(tmp_path: Path) -> None:
    at = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    write_tree(tmp_path, {
        f"{at}/rail_name_0": "POM_5V_IN", f"{at}/in_power0_input": 2356, f"{at}/rail_name_1": "POM_5V_GPU",
        f"{at}/in_power1_input": 40, f"{at}/rail_name_2": "POM_5V_CPU", f"{at}/rail_name_3": "NC", f"{at}/in_power3_input": 1,
    })  # fmt: skip
    meter = only(tmp_path, "ina3221x")
    assert meter.read() == pytest.approx({"POM_5V_IN": 2.356, "POM_5V_GPU": 0.04}), "the third rail has no power file"
    assert meter.total == ["POM_5V_IN"]
    write_tree(tmp_path, {f"{at}/in_power0_input": "n/a", f"{at}/in_power1_input": ""})
    assert "not a whole number" in only(tmp_path, "ina3221x").reason


# ---------------------------------------------------------------- hwmon
def chip(root: Path, number: int, name: str, **files: object) -> None:
    write_tree(root, {f"sys/class/hwmon/hwmon{number}/{file}": content for file, content in {"name": name, **files}.items()})


def test_one_ina2xx_is_the_line_that_it_sits_in(tmp_path: Path) -> None:
    chip(tmp_path, 0, "coretemp", temp1_input=40_000)
    assert discover(str(tmp_path), "hwmon") == []
    chip(tmp_path, 1, "ina226", power1_input=3_750_000, update_interval=140)
    meter = only(tmp_path, "hwmon")
    assert meter.read() == pytest.approx({"ina226-power1": 3.75})
    assert (meter.total, meter.scope, meter.period_s) == (["ina226-power1"], "the supply line of ina226-power1", 0.14)
    chip(tmp_path, 2, "ina226", power1_input=1_000_000)
    assert only(tmp_path, "hwmon").total == [], "which of two holds the other is not known"


def test_labels_averages_and_sleeping_cards(tmp_path: Path) -> None:
    chip(tmp_path, 0, "ina238", power1_input=23_000_000, power1_label="VIN")
    chip(tmp_path, 1, "amdgpu", power1_average="")
    meter = only(tmp_path, "hwmon")
    assert (meter.read(), meter.total, meter.scope) == (pytest.approx({"VIN": 23.0}), ["VIN"], "board (VIN)")
    chip(tmp_path, 2, "power_meter", power1_average=80_000_000, power1_average_interval=1000, power1_input=81_000_000)
    meter = only(tmp_path, "hwmon")
    assert (meter.total, meter.scope, meter.period_s) == (["power_meter-power1"], "machine", 1.0)
    assert meter.read()["power_meter-power1"] == 81.0, "now, not the mean"


def test_only_a_sleeping_card_is_a_reason(tmp_path: Path) -> None:
    chip(tmp_path, 1, "amdgpu", power1_average="")
    assert "power1_average" in only(tmp_path, "hwmon").reason
    assert hwmon.find(str(tmp_path / "nowhere")) == []


# ---------------------------------------------------------------- batteries and phones
def supply(root: Path, name: str, **files: object) -> None:
    write_tree(root, {f"sys/class/power_supply/{name}/{file}": content for file, content in files.items()})


@pytest.mark.parametrize(
    ("current_now", "voltage_now"), [(450_000, 3_800_000), (-450_000, 3_800_000), (450, 3_800_000), (-450, 3800)]
)
def test_a_battery_whatever_its_sign_and_unit(tmp_path: Path, current_now: int, voltage_now: int) -> None:
    supply(tmp_path, "battery", type="Battery", status="Discharging", current_now=current_now, voltage_now=voltage_now)
    meter = only(tmp_path, "battery")
    assert meter.read() == pytest.approx({"battery": 1.71})
    assert not meter.automatic
    assert meter.period_s == 7.0


def test_a_battery_that_says_its_power_charges_or_is_a_mouses(tmp_path: Path) -> None:
    supply(tmp_path, "mouse", type="Battery", scope="Device", status="Discharging", current_now=5000, voltage_now=1_500_000)
    supply(tmp_path, "AC", type="Mains", online=1)
    assert discover(str(tmp_path), "battery") == []
    supply(tmp_path, "BAT0", type="Battery", status="Discharging", power_now=8_200_000)
    assert only(tmp_path, "battery").read() == pytest.approx({"BAT0": 8.2})
    supply(tmp_path, "BAT0", status="Charging")
    assert "is charging, not discharging" in only(tmp_path, "battery").reason
    supply(tmp_path, "BAT0", status="Discharging", power_now=0, current_now=0, voltage_now=12_000_000)
    assert "gives no current" in only(tmp_path, "battery").reason


def test_the_monitor_of_a_phone(tmp_path: Path) -> None:
    assert odpm.parse(ODPM) == pytest.approx({"S10M_VDD_TPU": 5.578756, "VSYS_PWR_MODEM": 29.11094, "S2M_VDD_CPUCL2": 30.203502})
    write_tree(tmp_path, {"sys/bus/iio/devices/iio:device0/energy_value": ODPM})
    write_tree(tmp_path, {"sys/bus/iio/devices/iio:device1/energy_value": "t=5\nCH0(T=5)[S2S_VDD_G3D], 3702041607"})
    meter = only(tmp_path, "odpm")
    assert meter.read()["S2S_VDD_G3D"] == pytest.approx(3702.041607)
    assert (meter.kind, meter.total, len(meter.rails)) == ("counter", [], 4)
    write_tree(tmp_path, {"sys/bus/iio/devices/iio:device1/energy_value": "t=9"})
    with pytest.raises(MeterError, match="is without S2S_VDD_G3D"):
        meter.read()


# ---------------------------------------------------------------- anything at all
def test_a_device_without_any_meter(tmp_path: Path) -> None:
    assert discover(str(tmp_path)) == []


def test_every_meter_describes_itself_in_json(tmp_path: Path) -> None:
    import json

    rapl_tree(tmp_path)
    ina3221_tree(tmp_path, ORIN_NANO)
    supply(tmp_path, "BAT0", type="Battery", status="Full")
    found = discover(str(tmp_path))
    assert [meter.name for meter in found] == ["ina3221", "rapl", "battery"]
    for meter in found:
        told = json.loads(json.dumps(meter.describe(), allow_nan=False))
        assert {"name", "kind", "rails", "total", "scope", "period_s", "reason", "automatic"} <= set(told)
        assert set(meter.total) <= {rail.name for rail in meter.rails}


@given(st.text(max_size=400))
def test_garbage_from_a_phone_gives_numbers_or_nothing(text: str) -> None:
    assert all(value >= 0 for value in odpm.parse(text).values())


@given(st.integers(-(10**9), 10**9))
def test_a_batterys_current_is_an_amount_within_reason(current: int) -> None:
    assert 0 <= battery.amperes(current) <= 1000
