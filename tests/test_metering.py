"""Whose energy is measured, and what its row says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.reports import ESTIMATE, FLOAT, METERED, request
from support.verdicts import BROKEN_SLICE, REJECTED, STATIC
from support.verdicts import FLOAT as FLOAT_ROW

from edgekit import metering
from edgekit.devices.energy import EnergyResult
from edgekit.devices.meters import FoundMeter
from edgekit.errors import DeviceRunError, UnknownNameError, UsageError
from edgekit.measure.energy import MeterFacts
from edgekit.metering import Metered, described, meter_of, to_meter, with_energy
from edgekit.progress import Silent

ROWS = (FLOAT_ROW, STATIC, BROKEN_SLICE, REJECTED)
OTHER = replace(FLOAT_ROW, id="openvino/float32", target="openvino")


def ids(rows: Any) -> list[str]:
    return [row.id for row in rows]


def test_float_and_the_winner_unless_all_are_wanted() -> None:
    assert ids(to_meter((*ROWS, OTHER), STATIC.id, request())) == [FLOAT_ROW.id, STATIC.id]
    assert ids(to_meter((*ROWS, OTHER), FLOAT_ROW.id, request())) == [FLOAT_ROW.id]
    assert ids(to_meter(ROWS, None, request())) == []
    assert ids(to_meter(ROWS, STATIC.id, request(energy="all"))) == [FLOAT_ROW.id, STATIC.id, BROKEN_SLICE.id]
    assert ids(to_meter((*ROWS, OTHER), None, request(objective="energy"))) == [FLOAT_ROW.id, STATIC.id, OTHER.id]


def test_every_row_has_joules_or_a_reason() -> None:
    rows = {row.id: row for row in with_energy(ROWS, METERED, request())}
    measured = rows[FLOAT.id]
    assert measured.energy_j is not None
    assert (measured.energy_j["net_j"], measured.energy_reason) == (0.0031, "")
    assert measured.energy_j["sci"]["sci_g"] > 0
    assert rows[STATIC.id].energy_reason == "only float and the winner were measured; --energy all measures every candidate"
    assert rows[REJECTED.id].energy_reason == "not built"
    failed = Metered(METERED.meter, METERED.plan, {FLOAT.id: EnergyResult(None, "rapl: 3 load windows could be read")})
    assert with_energy(ROWS, failed, request())[0].energy_reason == "rapl: 3 load windows could be read"
    without = with_energy(ROWS, Metered(FoundMeter(None, "no energy meter was found"), None, {}), request())
    assert {row.energy_reason for row in without} == {"no energy meter was found"}
    assert all(row.energy_j is None for row in without)
    nobody = with_energy(ROWS, Metered(METERED.meter, None, {}), request())
    assert nobody[0].energy_reason == "nothing was accepted, so nothing was measured"


def test_carbon_only_where_the_grid_is_known() -> None:
    plain = request(grid_intensity=None, embodied=None)
    joules, _ = described(EnergyResult(ESTIMATE), METERED, plain)
    assert joules is not None
    assert joules["sci"] is None
    joules, _ = described(EnergyResult(ESTIMATE), METERED, request(embodied=None))
    assert joules is not None
    assert (joules["sci"]["m_g"], joules["sci"]["i_g_per_kwh"]) == (None, 400.0)


class Device:
    def __init__(self, meter: str | None) -> None:
        self.meter = meter


class Session:
    def meters(self) -> dict[str, Any]:
        return {"meters": [], "root": "/"}


def found(asked: Any, *, meter: str | None = None, not_measured: str = "") -> FoundMeter:
    return meter_of(Session(), Device(meter), asked, not_measured)  # type: ignore[arg-type]


def test_why_there_is_no_meter() -> None:
    assert found(request()).reason == "no energy meter was found"
    assert found(request(energy="off"), meter="rapl").reason == "it was not asked for (--energy off)"
    assert found(request(), meter="none").reason == "the device's meter is set to none"
    assert found(request(), not_measured="build only").reason == "build only"
    with pytest.raises(UnknownNameError):
        found(request(), meter="wattmeter")
    with pytest.raises(UsageError, match="energy cannot be the objective here: no energy meter was found"):
        found(request(objective="energy"))


def test_a_meter_that_fails_is_a_reason_and_not_the_end_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise DeviceRunError("energy failed on device pi", why="rapl: gone [unsupported]")

    class Item:
        artifact = type("Artifact", (), {"io": ()})

    heard: list[str] = []
    monkeypatch.setattr(metering, "measure_energy", fails)
    monkeypatch.setattr(Silent, "note", lambda self, text: heard.append(text))
    built: Any = {FLOAT.id: Item()}
    metered = metering.measure(Session(), METERED.meter, built, ROWS, {}, Silent())  # type: ignore[arg-type]
    assert metered.results[FLOAT.id] == EnergyResult(None, "energy failed on device pi: rapl: gone [unsupported]")
    assert metered.joules == {}
    assert heard == [
        "energy of onnx/float32 with ina3221 (module (VDD_IN)): takes about 58 s, 5 windows of 5 s each, and idle ones between them"
    ]


def test_a_stand_in_is_warned_of_once_something_was_measured() -> None:
    facts = replace(METERED.meter.facts or MeterFacts("x", "power", {}, (), "", 1, 1), source="stand-in")
    assert Metered(FoundMeter(facts), METERED.plan, METERED.results).warnings
    assert Metered(FoundMeter(facts), None, {}).warnings == ()
    assert METERED.warnings == ()
