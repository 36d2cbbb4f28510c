"""What was measured once is not measured again; what is damaged is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from edgekit.quantize.error_table import remembered

KEY = {"model": "m", "feeds": ["f"]}


class Counted:
    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, nodes: Sequence[str]) -> float:
        self.asked.append(tuple(nodes))
        return float(len(nodes)) if nodes else float("inf")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path))


def test_an_interrupted_search_asks_only_for_what_is_missing() -> None:
    first, second = Counted(), Counted()
    with pytest.raises(KeyboardInterrupt), remembered(KEY, first) as error_of:  # noqa: PT012 - what comes before the interrupt
        assert error_of(["a", "b"]) == 2.0
        assert error_of([]) == float("inf")
        raise KeyboardInterrupt
    with remembered(KEY, second) as error_of:
        assert error_of(["b", "a"]) == 2.0
        assert error_of([]) == float("inf")
        assert error_of(["c"]) == 1.0
    assert first.asked == [("a", "b"), ()]
    assert second.asked == [("c",)]


def test_another_key_has_another_table() -> None:
    counted = Counted()
    for key in (KEY, {**KEY, "model": "other"}):
        with remembered(key, counted) as error_of:
            error_of(["a"])
    assert len(counted.asked) == 2


def test_a_damaged_table_is_measured_anew(tmp_path: Path) -> None:
    counted = Counted()
    with remembered(KEY, counted) as error_of:
        error_of(["a"])
    (path,) = [path for path in tmp_path.rglob("ranges/*") if path.is_file()]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with remembered(KEY, counted) as error_of:
        assert error_of(["a"]) == 1.0
    assert counted.asked == [("a",), ("a",)]
