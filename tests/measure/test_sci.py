from __future__ import annotations

import pytest

from edgekit.measure.sci import YEAR_S, Embodied, sci


def test_all_four_parts_stand_in_the_result() -> None:
    found = sci(3.6, 0.1, 400.0, Embodied(100_000.0, 4 * YEAR_S))
    assert found["e_kwh"] == pytest.approx(1e-6)
    assert found["m_g"] == pytest.approx(100_000 * 0.1 / (4 * YEAR_S))
    assert found["sci_g"] == pytest.approx(4e-4 + found["m_g"])
    assert (found["i_g_per_kwh"], found["r"], found["m_reason"]) == (400.0, "one inference", "")


def test_embodied_emissions_read_as_they_are_typed() -> None:
    assert str(Embodied(250_000.0, 4 * YEAR_S)) == "250kg/4y"
    for total_g, life_s in ((0.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="above 0"):
            Embodied(total_g, life_s)


def test_what_was_not_given_is_not_zero() -> None:
    found = sci(3.6, 0.1, 400.0, None)
    assert found["m_g"] is None
    assert "left out" in found["m_reason"]
    assert found["sci_g"] == pytest.approx(4e-4)
