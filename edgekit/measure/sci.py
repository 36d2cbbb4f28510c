"""Software Carbon Intensity (SCI) of an inference, as version 1.1 of the specification defines it: ((E * I) + M) per R.

https://sci.greensoftware.foundation. E: energy in kWh, gross, because the device draws its idle power for the software's sake as
well. I: carbon intensity of the electricity, g CO2e/kWh. M: the share of the hardware's embodied emissions, g CO2e. R: the
functional unit, here one inference. All four stand in the result: a number without them says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..types import JSON

JOULES_IN_A_KWH = 3.6e6
YEAR_S = 365.25 * 86_400.0


@dataclass(frozen=True)
class Embodied:
    """Emissions from making the device, in grams CO2e, and the life over which they are spread."""

    total_g: float
    life_s: float

    def __post_init__(self) -> None:
        if not (self.total_g > 0 and self.life_s > 0):
            raise ValueError("embodied emissions and a life are above 0")

    def __str__(self) -> str:
        return f"{self.total_g / 1000:g}kg/{self.life_s / YEAR_S:g}y"


def sci(gross_j: float, inference_s: float, grid_g_per_kwh: float, embodied: Embodied | None) -> dict[str, JSON]:
    """The SCI of one inference, with everything that went into it.

    Args:
        gross_j: gross energy of an inference, in joules.
        inference_s: time of an inference while it runs one after another: its share of the device's life.
        embodied: None leaves M out, and ``m_reason`` says so.
    """
    e_kwh = gross_j / JOULES_IN_A_KWH
    m_g = None if embodied is None else embodied.total_g * inference_s / embodied.life_s
    return {
        "sci_g": e_kwh * grid_g_per_kwh + (m_g or 0.0),
        "e_kwh": e_kwh,
        "i_g_per_kwh": grid_g_per_kwh,
        "m_g": m_g,
        "m_reason": "left out: no embodied emissions were given" if m_g is None else "",
        "r": "one inference",
    }
