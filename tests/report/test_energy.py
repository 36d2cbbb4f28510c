from __future__ import annotations

from support.reports import ESTIMATE, METERED, request

from edgekit.devices.energy import EnergyResult
from edgekit.metering import described
from edgekit.report.energy import energy_lines


def lines(**changes: object) -> list[str]:
    joules, reason = described(EnergyResult(ESTIMATE), METERED, request())
    assert joules is not None
    return energy_lines({**joules, **changes}, reason)


def test_gross_net_interval_scope_and_windows_in_one_line() -> None:
    first, second = lines()
    assert first == (
        "energy: 7.2 mJ an inference, of which 3.1 mJ [3 mJ..3.2 mJ] over idling (ina3221: module (VDD_IN); 5 windows of 5 s "
        "between idle ones)"
    )
    assert second.startswith("carbon (SCI): 2.78 µg CO2e per R = one inference: E 2e-09 kWh gross x I 400 g/kWh, M 1.98 µg")


def test_what_has_no_number_says_why() -> None:
    assert energy_lines(None, "no energy meter was found") == ["energy: not measured: no energy meter was found"]
    (line,) = lines(net_j=None, ci95=None, net_reason="below resolution: 0.1 mJ with ...", sci=None)
    assert "7.2 mJ an inference, over idling below resolution: 0.1 mJ" in line
    stand_in = lines(meter={"name": "rapl", "source": "stand-in"})[0]
    assert "a stand-in: no evidence of energy" in stand_in
    without_m = {
        "sci_g": 1e-7,
        "e_kwh": 2.5e-10,
        "i_g_per_kwh": 400.0,
        "m_g": None,
        "m_reason": "left out: none given",
        "r": "one inference",
    }
    assert lines(sci=without_m)[1].endswith("400 g/kWh, M left out: none given")


def test_no_exponent_before_a_prefix() -> None:
    assert lines(gross_j=0.9997)[0].startswith("energy: 1000 mJ an inference")
    assert lines(gross_j=1234.0)[0].startswith("energy: 1230 J an inference")
