from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.agent import kernel_text

STAT = """cpu  200 0 100 1000 50 0 10 40 0 0
cpu0 100 0 50 500 25 0 5 0 0 0
cpu1 100 0 50 500 25 0 5 40 0 0
intr 1 2 3
"""

PARSERS = (
    kernel_text.parse_process_time, kernel_text.parse_waited, kernel_text.parse_pressure, kernel_text.parse_temperature,
    kernel_text.parse_count, kernel_text.parse_raspberry_flags,
)  # fmt: skip


@given(st.text() | st.from_regex(r"(cpu[0-9]{0,2}|some|[0-9x-]+)( [0-9a-f=.-]*){0,12}\n?", fullmatch=True))
def test_no_text_breaks_a_parser(text: str) -> None:
    for parse in PARSERS:
        value = parse(text)
        assert value is None or value == value
    for one in kernel_text.parse_cpu_times(text, [0]):
        assert one is None or (one.busy_s >= one.stolen_s >= 0)


@pytest.mark.parametrize(
    ("text", "expected"), [("50000", 0x50000), ("0x50004", 0x50004), ("0", 0), ("throttled=0x0", None), ("", None)]
)
def test_the_firmware_counts_in_hexadecimal(text: str, expected: int | None) -> None:
    assert kernel_text.parse_raspberry_flags(text) == expected


def test_cpus_that_are_not_there_have_no_time() -> None:
    timing, machine = kernel_text.parse_cpu_times(STAT, [0, 5])
    assert timing is None
    assert machine is not None
    assert kernel_text.parse_cpu_times(STAT, [])[0] == machine
