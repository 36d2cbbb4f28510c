"""What was measured of energy, in words."""

from __future__ import annotations

from collections.abc import Mapping

from ..types import JSON
from .text import short

_UNITS = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def energy_lines(energy_j: Mapping[str, JSON] | None, reason: str) -> list[str]:
    """``energy_j`` and ``energy_reason`` of a row as sentences for a terminal."""
    if energy_j is None:
        return [f"energy: not measured: {reason}"]
    windows, meter = energy_j["windows"], energy_j["meter"]
    stand_in = ", a stand-in: no evidence of energy" if meter["source"] == "stand-in" else ""
    how = f"{windows['repeats']} windows of {windows['window_s']:g} s between idle ones"
    where = f"{meter['name']}: {energy_j['scope']}{stand_in}; {how}"
    lines = [f"energy: {_quantity(energy_j['gross_j'], 'J')} an inference, {_net(energy_j)} ({where})"]
    if energy_j.get("sci") is not None:
        lines.append(_carbon(energy_j["sci"]))
    return lines


def _net(energy_j: Mapping[str, JSON]) -> str:
    if energy_j["net_j"] is None:
        return f"over idling {energy_j['net_reason']}"
    low, high = energy_j["ci95"]
    return f"of which {_quantity(energy_j['net_j'], 'J')} [{_quantity(low, 'J')}..{_quantity(high, 'J')}] over idling"


def _carbon(sci: Mapping[str, JSON]) -> str:
    made = sci["m_reason"] or f"M {_quantity(sci['m_g'], 'g')}"
    return (
        f"carbon (SCI): {_quantity(sci['sci_g'], 'g')} CO2e per R = {sci['r']}: E {sci['e_kwh']:.3g} kWh gross x I "
        f"{sci['i_g_per_kwh']:g} g/kWh, {'M ' if sci['m_reason'] else ''}{made}"
    )


def _quantity(value: float, unit: str) -> str:
    """Three significant digits with the prefix that suits: ``"4.1 mJ"``."""
    for factor, prefix in _UNITS:
        if abs(value) >= factor:
            return f"{short(value / factor)} {prefix}{unit}"
    return f"{short(value)} {unit}"
