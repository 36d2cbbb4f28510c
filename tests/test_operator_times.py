from __future__ import annotations

import math
from typing import Any

import pytest

from edgekit.operator_times import OperatorTime, read_layers


def test_times_become_those_of_one_inference_slowest_first() -> None:
    told = [{"name": "a", "op": "Conv", "time_s": 0.3, "n": 30}, {"name": "b", "op": "Loop", "time_s": 0.6, "n": 91}]
    assert read_layers(told, 30) == (OperatorTime("b", "Loop", 0.02, 3), OperatorTime("a", "Conv", 0.01, 1))


@pytest.mark.parametrize(
    "told",
    [
        "text", 7, {"name": "a"}, ["a"], [None], [{"name": "a", "op": "b", "n": 1}],
        [{"name": "a", "op": "b", "time_s": "x", "n": 1}], [{"name": "a", "op": "b", "time_s": math.nan, "n": 1}],
        [{"name": "a", "op": "b", "time_s": -1.0, "n": 1}],
    ],
)  # fmt: skip
def test_what_runners_do_not_tell_is_not_understood(told: Any) -> None:
    assert read_layers(told, 30) is None
