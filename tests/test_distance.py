"""How far outputs lie apart, also where a model masks with infinities."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.distance import distance, fraction

INF, NAN = np.inf, np.nan
MASKED = np.array([1, -INF, NAN, 2])


def test_what_is_not_finite_is_the_same_and_the_rest_is_measured() -> None:
    assert distance(MASKED, MASKED) == (0, 2)
    assert distance(MASKED, np.array([1, -INF, NAN, 3])) == (1, 2)
    assert fraction(1, 2) == 0.5
    assert fraction(0, 0) == 0


@pytest.mark.parametrize(
    "other", [[1, INF, NAN, 2], [1, 0, NAN, 2], [1, -INF, 0, 2], [NAN, -INF, NAN, 2], [INF, -INF, NAN, 2], [1]]
)
def test_what_cannot_be_compared(other: list[float]) -> None:
    assert distance(MASKED, np.array(other)) is None
