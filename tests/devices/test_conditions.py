from __future__ import annotations

from typing import Any

import pytest

from edgekit.devices.conditions import conditions_from, reading_from
from edgekit.errors import DeviceRunError
from edgekit.types import Zone

READING: dict[str, Any] = {
    "window_s": 0.03, "busy_s": 0.03, "stolen_s": 0.0, "machine_busy_s": 0.04, "own_s": 0.03, "waited_s": None, "pressure_s": None,
    "clocks_hz": [1.8e9], "temperatures_c": [45, None], "throttled": ["get\x1b[31m_throttled"],
}  # fmt: skip
SENSORS: dict[str, Any] = {
    "cpus": [3], "machine_cpus": 4, "tick_s": 0.01, "zones": [{"name": "cpu\x07", "passive_c": 80}], "counters": [],
    "governor": "ondemand", "reasons": {"pressure": "not\nkept"},
}  # fmt: skip


def test_what_the_agent_sends_becomes_values() -> None:
    reading = reading_from(READING)
    assert reading.temperatures_c == (45.0, None)
    assert reading.throttled == ("get_throttled",)
    conditions = conditions_from(SENSORS, [reading, reading])
    assert conditions.zones == (Zone("cpu", 80.0),)
    assert conditions.reasons == {"pressure": "not kept"}
    assert len(conditions.readings) == 2


@pytest.mark.parametrize(
    "changes",
    [{"window_s": -1}, {"window_s": "1"}, {"busy_s": float("inf")}, {"clocks_hz": [None]}, {"temperatures_c": 7}, {"own_s": True}],
)
def test_what_is_no_reading_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(DeviceRunError, match="not understood"):
        reading_from({**READING, **changes})


@pytest.mark.parametrize("sensors", [None, {}, {**SENSORS, "zones": [{}]}, {**SENSORS, "reasons": []}, {**SENSORS, "cpus": ["x"]}])
def test_what_are_no_sensors_is_refused(sensors: Any) -> None:
    with pytest.raises(DeviceRunError, match="not understood"):
        conditions_from(sensors, [])


def test_lists_are_capped() -> None:
    assert len(reading_from({**READING, "throttled": ["x"] * 100_000}).throttled) == 1024
