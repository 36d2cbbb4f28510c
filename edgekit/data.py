"""Calibration data: one pass that checks and hashes every feed, then two streams, one to build from and one to judge with.

Feeds stay where they are and are read again for every pass; a manifest holds counts and hashes, never a path or a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import DataError, UsageError
from .feed_checks import hash_feed, sample_hashes
from .feed_source import Source
from .folders import FolderSource
from .sources import NpzSource, open_source
from .synthetic import synthetic_feeds
from .types import BuildData, Feed
from .values import sha256_json

if TYPE_CHECKING:
    from .preprocess import Preprocess
    from .types import JSON, Samples, TensorSpec

__all__ = ["CalibrationSet", "hash_feed", "open_calibration", "synthetic_feeds"]

HELD_OUT_EVERY = 5  # 20 %
MIN_HELD_OUT = 8
FIRST_ROUND = 16  # feeds


@dataclass(frozen=True)
class CalibrationSet:
    """What ``--calib`` becomes.

    Attributes:
        build: the fit and held-out streams that targets and the search read.
        manifest: kind, order, counts, hash of each feed, preprocessing; never a path or a sample.
        hashes: sha256 of every feed used, and of each sample of feeds that are batches; evaluation feeds must not be among them.
        ranges: {float or integer input: (least, greatest value seen)}; makes synthetic feeds range-true.
        shapes: {input: shape of the first feed}.
    """

    build: BuildData
    manifest: dict[str, JSON]
    hashes: frozenset[str]
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def open_calibration(
    source: Path | str | Callable[[], Iterable[Feed]] | Iterable[Feed],
    inputs: Sequence[TensorSpec],
    *,
    samples: Samples | None = None,
    preprocess: Preprocess | Path | None = None,
) -> CalibrationSet:
    """Check all of ``source`` and split it.

    Every fifth distinct feed is held out, so that a folder sorted by class gives both parts every class. Copies of a feed follow
    the first one, so that no feed is on both sides.

    Args:
        source: see :mod:`edgekit.sources`. ``file.py:function`` must have been resolved by :func:`edgekit.coderef.load_function`.
        inputs: the model's inputs.
        samples: use at most so many fit feeds, evenly spread; the held-out part stays as it is. "auto": all of them, evenly spread,
            coarsely first, so that calibration may stop when it has seen enough.
        preprocess: for pictures, instead of the folder's ``preprocess.toml``.

    Raises:
        DataError: a feed is broken or does not fit the model (names it), fewer than 40 distinct feeds, or a function that does not
            give the same feeds again.
        UsageError: ``samples`` below 1, or an unresolved code reference.
    """
    if isinstance(samples, int) and samples < 1:
        raise UsageError("samples must be at least 1", why=f"it is {samples}")
    opened = open_source(source, inputs, preprocess=preprocess)
    survey = _survey(opened)
    _expect_the_same_again(opened, survey.hashes)
    fit, held_out = _split(survey.hashes)
    if isinstance(samples, int) and samples < len(fit):
        fit = [fit[position * len(fit) // samples] for position in range(samples)]
    rounds = _spread(fit) if samples == "auto" else [fit]
    fit = [index for indices in rounds for index in indices]
    fit_hashes = [survey.hashes[index] for index in fit]
    held_out_hashes = [survey.hashes[index] for index in held_out]
    manifest = opened.describe() | {
        "n": len(survey.hashes),
        "n_distinct": len(set(survey.hashes)),
        "n_fit": len(fit),
        "n_held_out": len(held_out),
        "samples": samples,
        "split": f"every {HELD_OUT_EVERY}th distinct feed is held out",
        "fit": fit_hashes,
        "held_out": held_out_hashes,
    }
    build = BuildData(
        fit=_Rounds([_Part(opened, {index: survey.hashes[index] for index in indices}) for indices in rounds]),
        held_out=_Part(opened, dict(zip(held_out, held_out_hashes, strict=True))),
        manifest_sha256=sha256_json(fit_hashes),
        until_stable=samples == "auto",
    )
    hashes = frozenset(fit_hashes + held_out_hashes).union(*(survey.sample_hashes[index] for index in (*fit, *held_out)))
    return CalibrationSet(build, manifest, hashes, survey.ranges, survey.shapes)


@dataclass
class _Survey:
    """What the first pass saw, by index."""

    hashes: list[str] = field(default_factory=list)
    sample_hashes: list[frozenset[str]] = field(default_factory=list)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


def _survey(source: Source) -> _Survey:
    survey = _Survey()
    for _, feed in source.feeds():
        survey.hashes.append(hash_feed(feed))
        survey.sample_hashes.append(sample_hashes(feed))
        for name, array in feed.items():
            survey.shapes.setdefault(name, array.shape)
            if array.size and array.dtype.kind in "iuf":
                least, greatest = survey.ranges.get(name, (np.inf, -np.inf))
                survey.ranges[name] = (min(least, float(array.min())), max(greatest, float(array.max())))
    return survey


def _expect_the_same_again(source: Source, hashes: Sequence[str]) -> None:
    """Refuses, before any slow work, code that is exhausted after one pass or gives other feeds each time."""
    if not hashes or isinstance(source, (FolderSource, NpzSource)):
        return
    again = next(source.feeds(), None)
    if again is None:
        raise DataError(
            "the calibration data can be read only once",
            why=f"a second pass gave nothing after {len(hashes)} feeds",
            hint="make the generator or iterator anew in each call",
        )
    _expect_hash(again[1], hashes[0], source.where(0))


def _expect_hash(feed: Feed, expected: str, where: str) -> None:
    if hash_feed(feed) != expected:
        raise DataError(
            f"{where} is not what it was at the first pass",
            why="calibration needs the same feeds in the same order each time",
            hint="seed random numbers inside the function, and leave the files alone while edgekit runs",
        )


def _split(hashes: Sequence[str]) -> tuple[list[int], list[int]]:
    """Indices of the fit and of the held-out feeds."""
    rank = {value: position for position, value in enumerate(dict.fromkeys(hashes))}
    n_held_out = len(rank) // HELD_OUT_EVERY
    if n_held_out < MIN_HELD_OUT:
        copies = f" ({len(hashes) - len(rank)} more are copies)" if len(hashes) > len(rank) else ""
        raise DataError(
            "too little calibration data",
            why=f"{len(rank)} distinct feeds{copies}; 20 % are held out to judge with, and that must be at least {MIN_HELD_OUT}",
            hint=f"give at least {MIN_HELD_OUT * HELD_OUT_EVERY} distinct feeds",
        )
    held_out = {value for value, position in rank.items() if position % HELD_OUT_EVERY == HELD_OUT_EVERY - 1}
    return (
        [index for index, value in enumerate(hashes) if value not in held_out],
        [index for index, value in enumerate(hashes) if value in held_out],
    )


def _spread(fit: Sequence[int]) -> list[list[int]]:
    """The fit feeds in rounds, each evenly spread over all of them: at most 16, then those half-way between, and so on.

    Data are often sorted by class, so that the first few would say little of the rest.
    """
    stride = 1
    while stride * FIRST_ROUND < len(fit):
        stride *= 2
    rounds = [list(fit[::stride])]
    while stride > 1:
        rounds.append(list(fit[stride // 2 :: stride]))
        stride //= 2
    return rounds


class _Rounds:
    """Parts one after the other."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __iter__(self) -> Iterator[Feed]:
        for part in self._parts:
            yield from part


class _Part:
    """Some of a source's feeds; reads them again at every pass and checks that they are still the same."""

    def __init__(self, source: Source, hashes: Mapping[int, str]) -> None:
        self._source = source
        self._hashes = hashes

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[Feed]:
        count = 0
        for index, feed in self._source.feeds(self._hashes.__contains__):
            _expect_hash(feed, self._hashes[index], self._source.where(index))
            count += 1
            yield feed
            if count == len(self._hashes):
                return
        raise DataError(
            "the calibration data ended too early",
            why=f"{count} of {len(self._hashes)} feeds came in this pass",
            hint="a function must give the same feeds each time it is called",
        )
