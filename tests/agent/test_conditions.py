from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.agent.conditions import Sensors, between

STAT = """cpu  200 0 100 1000 50 0 10 40 0 0
cpu0 100 0 50 500 25 0 5 0 0 0
cpu1 100 0 50 500 25 0 5 40 0 0
intr 1 2 3
"""


def board(root: Path, files: dict[str, str]) -> str:
    for name, text in {"proc/stat": STAT, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def process(user: int, system: int, of_children: int = 0) -> str:
    return f"77 (a (strange) name) R 1 77 77 0 -1 0 0 0 0 0 {user} {system} {of_children} 0 20 0 2 0"


def test_a_raspberry_pi(tmp_path: Path) -> None:
    flags = "sys/devices/platform/soc/soc:firmware/get_throttled"
    files = {
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1800000\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "48686\n",
        "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0.00 total=5\n",
        "proc/self/schedstat": "1 2 3\n",
        "proc/77/stat": process(100, 20),
        "proc/77/task/77/schedstat": "1000000000 500000000 12\n",
        "proc/77/task/78/schedstat": "1000000000 100000000 12\n",
        flags: "50000\n",
    }
    sensors = Sensors([1], board(tmp_path, files))
    described = sensors.describe()
    assert described["governor"] == "ondemand"
    assert described["machine_cpus"] == 2
    assert described["zones"] == [{"name": "cpu-thermal", "passive_c": None}]
    assert described["counters"] == ["get_throttled"]
    assert described["reasons"] == {}

    before = sensors.read(77)
    later = {
        "proc/stat": STAT.replace("cpu1 100 0 50 500 25 0 5 40", "cpu1 190 5 51 500 99 0 6 43").replace("cpu  200", "cpu  290"),
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "600000\n",
        "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1250000\n",
        "proc/77/stat": process(130, 22, of_children=40),
        "proc/77/task/78/schedstat": "1000000000 350000000 12\n",
        "proc/77/task/79/schedstat": "1000000000 900000000 12\n",
    }
    board(tmp_path, {**files, **later})
    reading = between(before, sensors.read(77), sensors.counter_names)
    assert reading["busy_s"] == pytest.approx(1.0)
    assert reading["stolen_s"] == pytest.approx(0.03)
    assert reading["machine_busy_s"] == pytest.approx(0.9)
    assert reading["own_s"] == pytest.approx(0.72), "with what a program of its own took: trtexec's time is no other's"
    assert reading["waited_s"] == pytest.approx(0.25), "a thread that is new has not been waiting since before the burst"
    assert reading["pressure_s"] == pytest.approx(0.25)
    assert reading["clocks_hz"] == [600e6]
    assert reading["temperatures_c"] == [48.686]
    assert reading["throttled"] == [], "bits 16 and 18 say what was once, not what is"

    (tmp_path / flags).write_text("50004\n")
    assert between(before, sensors.read(77), sensors.counter_names)["throttled"] == ["get_throttled"]


def test_an_x86_laptop(tmp_path: Path) -> None:
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    zone = "sys/class/thermal/thermal_zone2/"
    files = {
        count: "7\n",
        zone + "type": "x86_pkg_temp\n",
        zone + "temp": "61000\n",
        zone + "trip_point_0_type": "critical\n",
        zone + "trip_point_0_temp": "105000\n",
        zone + "trip_point_1_type": "passive\n",
        zone + "trip_point_1_temp": "95000\n",
        zone + "trip_point_2_type": "passive\n",
        zone + "trip_point_2_temp": "-274000\n",
        "sys/class/thermal/thermal_zone10/type": "off\n",
        "sys/class/thermal/thermal_zone10/temp": "-274000\n",
    }
    sensors = Sensors([0], board(tmp_path, files))
    assert sensors.describe()["zones"] == [{"name": "x86_pkg_temp", "passive_c": 95.0}]
    before = sensors.read(1)
    assert before.clocks_hz is None
    assert "no cpufreq" in sensors.describe()["reasons"]["clock"]
    (tmp_path / count).write_text("9\n")
    assert between(before, sensors.read(1), sensors.counter_names)["throttled"] == ["cpu0 core throttle count"]
    assert between(sensors.read(1), sensors.read(1), sensors.counter_names)["throttled"] == []


def test_what_cannot_be_read_is_none_with_its_reason(tmp_path: Path) -> None:
    sensors = Sensors([], str(tmp_path))
    assert set(sensors.describe()["reasons"]) == {"clock", "temperature", "throttling", "load", "waited", "pressure"}
    snapshot = sensors.read(1)
    reading = between(snapshot, sensors.read(1), [])
    unknown = ("busy_s", "stolen_s", "machine_busy_s", "own_s", "waited_s", "pressure_s", "clocks_hz")
    assert [reading[name] for name in unknown] == [None] * len(unknown)
    assert reading["window_s"] >= 0


def test_on_this_machine() -> None:
    sensors = Sensors(sorted(os.sched_getaffinity(0))[-1:])
    before = sensors.read(os.getpid())
    sum(range(2_000_000))
    reading = between(before, sensors.read(os.getpid()), sensors.counter_names)
    assert reading["busy_s"] is not None
    assert reading["own_s"] is not None
    assert reading["window_s"] > 0
