"""Which way up a line of text is: the PP-OCR angle classifier on short rendered lines, every other one turned by 180 degrees;
the metric is top-1.

One feed is one line, ``x``: float32, 1 x 3 x 48 x 192, in [-1, 1], padded on the right with 0 as PP-OCR does it. The lines of
the three sets come from one seeded stream of distinct texts, so no text is in two sets. They are hard on purpose (short, faint,
noisy, a third of them of characters that are others upside down): float is wrong on about one in seven.

Deploy with ``--shape x=1x3x48x192 --calib tests/tasks/angle.py:calibration --eval tests/tasks/angle.py:evaluate``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rendering import WORDS, Hardness, normalise_line, render_line
from task_common import MODELS, Feed, Predict, score_document

SHAPE = {"x": (1, 3, 48, 192)}
N_CALIBRATION, N_EVALUATION, N_THIRD = 100, 200, 500
WIDTH_PX = 192
HARDNESS = Hardness(font_px=(14, 32), blur_px=1.0, noise=10.0)
SYMMETRIC = np.array(list("HIMNOSXZosxzlnu0 8609"))  # the same, or another of them, upside down
TURNS = ("upright", "turned")  # class 0 and class 1


@dataclass(frozen=True)
class Line:
    """One rendered line: its class (0 upright, 1 turned by 180 degrees) and the feed."""

    turn: int
    feed: Feed


def model() -> Path:
    """The classifier as its package ships it (weights in Constant nodes, free shapes)."""
    return MODELS / "ppocr" / "angle.onnx"


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 100 lines that no score is taken from."""
    for line in lines(0, N_CALIBRATION):
        yield line.feed


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: top-1 on 200 lines; slices by turn."""
    return score(predict, N_CALIBRATION, N_EVALUATION)


def third(predict: Predict) -> dict[str, Any]:
    """The score on 500 lines that edgekit is never given."""
    return score(predict, N_CALIBRATION + N_EVALUATION, N_THIRD)


def score(predict: Predict, first: int, count: int) -> dict[str, Any]:
    found: list[int] = []
    truth: list[int] = []
    for line in lines(first, count):
        (probabilities,) = predict(line.feed).values()  # 1 x 2
        found.append(int(np.argmax(probabilities)))
        truth.append(line.turn)
    hits = [a == b for a, b in zip(found, truth, strict=True)]
    return score_document("top-1", hits, [TURNS[turn] for turn in truth], found)


# ---------------------------------------------------------------- the lines
def lines(first: int, count: int) -> Iterator[Line]:
    """Lines ``first`` to ``first + count`` of the one stream, upright and turned in turn; the same on every call."""
    for index in range(first, first + count):
        yield Line(index % 2, {"x": normalise_line(picture(index), WIDTH_PX)})


@cache
def picture(index: int) -> npt.NDArray[np.uint8]:
    """The crop of line ``index``: height x width, turned if it is odd."""
    grey = render_line(texts()[index], np.random.default_rng([13, index]), HARDNESS)
    return grey[::-1, ::-1] if index % 2 else grey


@cache
def texts() -> tuple[str, ...]:
    """All texts of the three sets, distinct."""
    rng = np.random.default_rng(1987)
    found: dict[str, None] = {}
    while len(found) < N_CALIBRATION + N_EVALUATION + N_THIRD:
        found.setdefault(compose(rng))
    return tuple(found)


def compose(rng: np.random.Generator) -> str:
    """A word, a number, or letters and digits that turn into one another."""
    kind = rng.integers(3)
    if kind == 0:
        word = str(rng.choice(WORDS))
        return (word, word.upper(), word.title())[rng.integers(3)]
    if kind == 1:
        return f"{rng.integers(100, 10**6):,}"
    return "".join(rng.choice(SYMMETRIC, int(rng.integers(3, 8)))).strip() or "O"
