"""A device's outputs beside the host's."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.device_check import difference

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("here", "there", "value"),
    [
        ([1.0, -4.0], [1.0, -4.0], 0.0),
        ([1.0, -4.0], [1.2, -4.0], 0.05),
        ([0.0, 0.0], [0.0, 1e-15], 1e-3),  # beside nothing but zeros
        ([-INF, 2.0], [-INF, 2.5], 0.25),  # a mask
        ([NAN, 2.0], [NAN, 2.0], 0.0),
        ([-INF, 2.0], [INF, 2.0], None),
        ([INF, 2.0], [NAN, 2.0], None),
        ([1.0, 2.0], [1.0, INF], None),
        ([1.0, INF], [1.0, 2.0], None),
        ([1.0, 2.0], [1.0, 2.0, 3.0], None),
    ],
)
def test_how_far_outputs_lie_apart(here: list[float], there: list[float], value: float | None) -> None:
    found = difference([{"y": np.array(here)}], [{}], lambda _: {"y": np.array(there)}, 0.1)
    assert found.value == (None if value is None else pytest.approx(value))
    assert found.is_small == (value is not None and value <= 0.1)
    assert found.n == 1
