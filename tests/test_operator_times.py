from __future__ import annotations

import math
from typing import Any

import pytest

from edgekit.operator_times import OperatorTime, read_layers


def test_times_become_those_of_one_inference_slowest_first() -> None:
    told = [{"name": "a", "op": "Conv", "time_s": 0.3, "n": 30}, {"name": "b", "op": "Loop", "time_s": 0.6, "n": 91}]
    assert read_layers(told, 30) == (OperatorTime("b", "Loop", 0.02, 3), OperatorTime("a", "Conv", 0.01, 1))


def test_a_row_may_tell_of_inferences_of_the_profilers_own() -> None:
    told = [
        {"name": "a", "op": "Conv", "time_s": 0.1, "n": 50, "runs": 50},
        {"name": "b", "op": "", "time_s": 1e-3, "n": 1, "runs": 1},
    ]
    assert read_layers(told, 30) == (OperatorTime("a", "Conv", 0.002, 1), OperatorTime("b", "", 0.001, 1))


@pytest.mark.parametrize(
    "told",
    [
        "text", 7, {"name": "a"}, ["a"], [None], [{"name": "a", "op": "b", "n": 1}],
        [{"name": "a", "op": "b", "time_s": "x", "n": 1}], [{"name": "a", "op": "b", "time_s": math.nan, "n": 1}],
        [{"name": "a", "op": "b", "time_s": -1.0, "n": 1}],
        [{"name": "a", "op": "b", "time_s": 1.0, "n": 1, "runs": 0}], [{"name": "a", "op": "b", "time_s": 1.0, "n": math.inf}],
    ],
)  # fmt: skip
def test_what_runners_do_not_tell_is_not_understood(told: Any) -> None:
    assert read_layers(told, 30) is None
