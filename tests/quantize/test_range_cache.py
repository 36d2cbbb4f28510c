from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit import cache
from edgekit.errors import DataError
from edgekit.model import Model, load_model
from edgekit.quantize import check, range_cache
from edgekit.quantize.range_cache import statistics_for
from edgekit.quantize.statistics import Statistics
from edgekit.testing.models import CASES, ModelCase
from edgekit.types import BuildData, Feed

CASE: ModelCase = CASES["conv"]
N = 12


class Counted:
    """Feeds that know how many were read, and that may fail or dawdle at one of them."""

    def __init__(self, n: int = N, *, stop_at: int | None = None, problem: BaseException | None = None) -> None:
        self.n, self.stop_at, self.problem = n, stop_at, problem
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Feed]:
        for index in range(self.n):
            if index == self.stop_at and self.problem is not None:
                raise self.problem
            self.read.append(index)
            yield CASE.feed(1, index)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_model(CASE.write(tmp_path))


def data(feeds: Counted) -> BuildData:
    return BuildData(feeds, feeds, "f" * 64)


def tensors(model: Model) -> list[str]:
    return [model.inputs[0].name, model.outputs[0].name]


def range_files() -> list[Path]:
    root = cache.cache_dir() / "ranges"
    return sorted(path for path in root.iterdir() if path.is_file()) if root.is_dir() else []


def expect_equal(one: Statistics, other: Statistics) -> None:
    assert one.n_feeds == other.n_feeds
    for half, same in zip(one.halves, other.halves, strict=True):
        assert half.keys() == same.keys()
        for name, tensor in half.items():
            again = same[name]
            assert (tensor.count, tensor.minimum, tensor.maximum) == (again.count, again.minimum, again.maximum)
            assert tensor.sum == again.sum
            np.testing.assert_array_equal(tensor.histogram.counts, again.histogram.counts)


@pytest.fixture
def one_pass(model: Model) -> Statistics:
    found = statistics_for(model, data(Counted()), tensors(model))
    cache.clear()
    return found


def test_made_once_then_taken(model: Model) -> None:
    first, again = Counted(), Counted()
    made = statistics_for(model, data(first), tensors(model))
    taken = statistics_for(model, data(again), tensors(model)[::-1])
    assert (len(first.read), again.read) == (N, [])
    expect_equal(made, taken)
    assert cache.usage().n_ranges == 1
    assert cache.clear().n_ranges == 1
    assert range_files() == []


def test_only_what_is_new_takes_another_pass(model: Model, one_pass: Statistics) -> None:
    first, last = tensors(model)
    feeds = Counted()
    statistics_for(model, data(feeds), [first])
    both = statistics_for(model, data(feeds), [first, last])
    assert len(feeds.read) == 2 * N
    expect_equal(both, one_pass)
    assert set(statistics_for(model, data(feeds), [last]).tensors) == {last}
    assert len(feeds.read) == 2 * N
    channels = statistics_for(model, data(feeds), [first], per_channel={first: 1, last: 1}).tensors[first]
    assert len(feeds.read) == 3 * N
    assert channels.channel_maximum is not None
    assert channels.channel_maximum.max() == channels.maximum
    expect_equal(statistics_for(model, data(feeds), [first, last]), one_pass)
    assert len(feeds.read) == 3 * N
    assert cache.usage().n_ranges == 1


def test_later_tensors_see_the_same_feeds(model: Model) -> None:
    first, last = tensors(model)
    spread = replace(data(Counted(200)), until_stable=True)
    n = statistics_for(model, spread, [first]).n_feeds
    assert statistics_for(model, spread, [first, last]).tensors[last].count == n * model_outputs(model)


def model_outputs(model: Model) -> int:
    return int(np.prod([size for size in model.outputs[0].shape if isinstance(size, int)]))


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said of damage, taken from the logger itself: vendors' packages change how loggers are set up."""
    said: list[str] = []
    monkeypatch.setattr(range_cache._log, "warning", lambda text, *arguments: said.append(text % arguments))
    return said


def test_an_unfinished_calibration_of_other_tensors_is_left_out(model: Model, one_pass: Statistics, warned: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        statistics_for(model, data(Counted(stop_at=7, problem=KeyboardInterrupt())), tensors(model)[:1])
    expect_equal(statistics_for(model, data(Counted()), tensors(model)), one_pass)
    assert not warned, "nothing is damaged"


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), DataError("gone")])
def test_going_on_after_an_interruption(model: Model, one_pass: Statistics, problem: BaseException) -> None:
    with pytest.raises(type(problem)):
        statistics_for(model, data(Counted(stop_at=7, problem=problem)), tensors(model))
    (partial,) = range_files()
    assert partial.name.endswith(".partial")
    expect_equal(statistics_for(model, data(Counted()), tensors(model)), one_pass)
    assert [path.name.endswith(".partial") for path in range_files()] == [False]


def test_work_done_before_an_interruption_is_not_done_again(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        statistics_for(model, data(Counted(stop_at=7, problem=KeyboardInterrupt())), tensors(model))
    taken = []
    take = range_cache.Collector.take
    monkeypatch.setattr(range_cache.Collector, "take", lambda self, feed: taken.append(self.n_feeds) or take(self, feed))  # type: ignore[func-returns-value]
    statistics_for(model, data(Counted()), tensors(model))
    assert taken == list(range(7, N))


@pytest.mark.parametrize("unfinished", [False, True])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "link"])
def test_damage_is_noticed_and_made_good(
    model: Model, one_pass: Statistics, damage: str, unfinished: bool, warned: list[str]
) -> None:
    if unfinished:
        with pytest.raises(KeyboardInterrupt):
            statistics_for(model, data(Counted(stop_at=7, problem=KeyboardInterrupt())), tensors(model))
    else:
        statistics_for(model, data(Counted()), tensors(model))
    (path,) = range_files()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "link":
        aside = path.with_name("aside")
        path.rename(aside)
        path.symlink_to(aside)
    else:
        path.write_bytes({"flip": bytes(content), "cut": path.read_bytes()[:-9], "empty": b""}[damage])
    again = Counted()
    expect_equal(statistics_for(model, data(again), tensors(model)), one_pass)
    assert len(again.read) == N
    (told,) = warned
    assert "made anew" in told
    taken = Counted()
    statistics_for(model, data(taken), tensors(model))
    assert taken.read == []


CHILD = """
import sys, time
from edgekit.model import load_model
from edgekit.quantize import check, range_cache
from edgekit.testing.models import CASES
from edgekit.types import BuildData

range_cache.CHECKPOINT_S = 0.0
case = CASES["conv"]

class Slow:
    def __len__(self):
        return {n}

    def __iter__(self):
        for index in range({n}):
            with open(sys.argv[2], "a") as log:
                log.write(f"{{index}}\\n")
            time.sleep(float(sys.argv[3]))
            yield case.feed(1, index)

model = load_model(sys.argv[1])
feeds = Slow()
range_cache.statistics_for(model, BuildData(feeds, feeds, "f" * 64), [model.inputs[0].name, model.outputs[0].name])
print("done", flush=True)
"""


def start(model: Model, log: Path, pause_s: float) -> subprocess.Popen[str]:
    code = CHILD.format(n=N)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(model.path), str(log), str(pause_s)], stdout=subprocess.PIPE, text=True, env=os.environ
    )


def wait_for_lines(log: Path, n: int) -> None:
    deadline = time.monotonic() + 60
    while not log.exists() or len(log.read_text().splitlines()) < n:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_going_on_after_a_kill(model: Model, one_pass: Statistics, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = start(model, log, 0.1)
    wait_for_lines(log, 6)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert range_files()[-1].name.endswith(".partial")
    expect_equal(statistics_for(model, data(Counted()), tensors(model)), one_pass)


def test_two_processes_make_it_once(model: Model, one_pass: Statistics, tmp_path: Path) -> None:
    log = tmp_path / "log"
    children = [start(model, log, 0.02) for _ in range(2)]
    assert [child.communicate()[0] for child in children] == ["done\n"] * 2
    assert log.read_text().splitlines() == [str(index) for index in range(N)]
    expect_equal(statistics_for(model, data(Counted(stop_at=0, problem=AssertionError())), tensors(model)), one_pass)


def test_until_stable_stops_early(model: Model) -> None:
    feeds = Counted(200)
    found = statistics_for(model, replace(data(feeds), until_stable=True), tensors(model))
    assert found.n_feeds in (16, 32, 64, 128)
    assert len(feeds.read) <= found.n_feeds + 1
    assert statistics_for(model, data(Counted(200)), tensors(model)).n_feeds == 200


def test_a_rewritten_model_has_statistics_of_its_own(model: Model) -> None:
    inner = ["r1"]
    plain = statistics_for(model, data(Counted()), inner)
    feeds = Counted()
    rewritten = statistics_for(model, data(feeds), inner, rewrites=("batch-norm", "equalize"))
    assert feeds.read
    assert rewritten.tensors["r1"].maximum != plain.tensors["r1"].maximum, "channels were scaled"
    again = Counted()
    expect_equal(statistics_for(model, data(again), inner, rewrites=("batch-norm", "equalize")), rewritten)
    assert not again.read


@pytest.mark.parametrize(("n", "looked_at"), [(32, 32), (40, 20), (63, 32), (8, 8)])
def test_so_many_held_out_feeds_are_looked_at(model: Model, n: int, looked_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    collect = check.collect
    monkeypatch.setattr(check, "collect", lambda *arguments: taken.append(collect(*arguments)) or taken[-1])  # type: ignore[func-returns-value]
    check.check_calibration(model, BuildData(Counted(), Counted(n), "f" * 64), tensors(model))
    assert taken[0].n_feeds == looked_at
