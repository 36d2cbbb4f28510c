"""Chunks of about two seconds, whatever the link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.devices.pace import FIRST_BYTES, MAX_BYTES, MIN_BYTES, Pace


@pytest.mark.parametrize(("rate_bytes_per_s", "round_trip_s", "settles_at"), [
    (125_000, 0.0, 250_000), (2_000_000, 0.2, 3_600_000), (1e9, 0.0, MAX_BYTES), (2_000, 0.0, MIN_BYTES),
])  # fmt: skip
def test_it_settles_where_a_chunk_takes_two_seconds(rate_bytes_per_s: float, round_trip_s: float, settles_at: int) -> None:
    pace = Pace()
    for _ in range(30):
        pace.took(pace.chunk_bytes, round_trip_s + pace.chunk_bytes / rate_bytes_per_s)
    assert pace.chunk_bytes == pytest.approx(settles_at, rel=0.05)


def test_the_short_end_of_a_file_says_nothing_of_a_fast_link() -> None:
    pace = Pace()
    pace.took(10, 0.0001)
    assert pace.chunk_bytes == FIRST_BYTES
    pace.took(100, 10.0)
    assert pace.chunk_bytes == MIN_BYTES


@given(st.lists(st.tuples(st.integers(0, MAX_BYTES), st.floats(0, 1e6))))
def test_it_stays_within_its_bounds(answers: list[tuple[int, float]]) -> None:
    pace = Pace()
    for size, elapsed_s in answers:
        before = pace.chunk_bytes
        pace.took(size, elapsed_s)
        assert MIN_BYTES <= pace.chunk_bytes <= min(2 * before, MAX_BYTES)
