from __future__ import annotations

import array
import time

import pytest

from edgekit.agent.meters.base import Meter, MeterError, Rail
from edgekit.agent.meters.sampler import Sampler


class Counting(Meter):
    """Counts its readings; every third fails when ``faulty``."""

    name, kind = "counting", "power"

    def __init__(self, period_s: float, *, faulty: bool = False) -> None:
        super().__init__([Rail("a", "rail"), Rail("b", "rail")], ["a"], "", period_s=period_s, resolution=1)
        self.readings, self.faulty = 0, faulty

    def read(self) -> dict[str, float]:
        self.readings += 1
        if self.faulty and self.readings % 3 == 0:
            raise MeterError("gone for a moment")
        return {"b": -self.readings, "a": self.readings}


def test_samples_go_from_the_beginning_to_the_end_in_the_order_of_the_rails() -> None:
    start = time.monotonic()
    with Sampler(Counting(0.05)) as sampler:
        time.sleep(0.22)
    times = [at for at, _ in sampler.samples]
    assert start <= times[0] < times[-1] <= time.monotonic()
    assert times[-1] - times[0] >= 0.22
    assert times == sorted(times)
    assert 3 <= len(times) <= 6
    assert [values for _, values in sampler.samples] == [(i, -i) for i in range(1, len(times) + 1)]
    numbers = array.array("d")
    numbers.frombytes(sampler.payload())
    assert list(numbers[:6]) == pytest.approx([times[0], 1, -1, times[1], 2, -2])


def test_a_fast_meter_is_not_read_more_often_than_it_must() -> None:
    with Sampler(Counting(0.001)) as sampler:
        time.sleep(0.02)
    assert len(sampler.samples) == 2, "at both ends"


def test_readings_that_fail_are_counted_and_the_last_reason_kept() -> None:
    with Sampler(Counting(0.05, faulty=True)) as sampler:
        time.sleep(0.32)
    assert sampler.failures >= 2
    assert sampler.failure == "gone for a moment"
    assert all(at % 3 for _, (at, _) in sampler.samples)
