from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgekit.report.text import MICROSECONDS, MILLISECONDS, clean, duration, one_line, size


@given(st.text())
def test_cleaned_text_cannot_steer_a_terminal(text: str) -> None:
    cleaned = clean(text)
    assert not any((ord(c) < 0x20 and c not in "\t\n") or 0x7F <= ord(c) <= 0x9F for c in cleaned)
    cleaned.encode("utf-8")
    assert "\n" not in one_line(text)


def test_printable_text_is_left_alone() -> None:
    assert clean("Größe 日本 [bold] x\ty") == "Größe 日本 [bold] x\ty"
    assert clean("\x1b]0;title\x07") == "\ufffd]0;title\ufffd"
    assert clean("\u202egnp.exe") == "\ufffdgnp.exe"


def test_numbers_have_three_significant_digits() -> None:
    assert [MILLISECONDS.value(s) for s in (1.234567, 0.0123456, 0.00012345, 0.0)] == ["1235", "12.3", "0.123", "0"]
    assert MICROSECONDS.value(0.0000265) == "26.5"
    assert MILLISECONDS.value(None) == "-"
    assert (duration(0.0009), duration(0.0011)) == ("900 µs", "1.10 ms")
    assert [size(n) for n in (999, 1500, 12_345_678, 2e9, None)] == ["999 B", "1.50 kB", "12.3 MB", "2.00 GB", "-"]


@given(st.floats(min_value=1e-6, max_value=1e4))
def test_a_printed_time_is_close_to_the_real_one(seconds: float) -> None:
    assert abs(float(MICROSECONDS.value(seconds)) / 1e6 - seconds) <= 0.005 * seconds + 1e-12
