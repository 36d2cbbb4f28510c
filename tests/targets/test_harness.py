from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.testing.harness import relative_error
from edgekit.types import Array

WANT = {"y": np.array([1.0, -2.0, 0.5])}


@pytest.mark.parametrize(
    ("got", "error"),
    [
        (np.array([1.0, -2.0, 0.5]), 0.0),
        (np.array([1.0, -1.5, 0.5]), 0.25),
        (np.array([1.0, math.nan, 0.5]), math.inf),
        (np.array([1.0, math.inf, 0.5]), math.inf),
        (np.array(1.0), math.inf),
        (np.array([[1.0, -2.0, 0.5]]), math.inf),
        (np.zeros(0), math.inf),
    ],
)
def test_an_error_is_what_lies_between_and_no_number_or_another_shape_is_without_bounds(got: Array, error: float) -> None:
    assert relative_error({"y": got}, WANT) == error
