"""Text recognition: the PP-OCRv4 recogniser on rendered lines of known text; the metric is the exact match of a whole line, spaces
left out as PaddleOCR's own metric does (this model drops most spaces between digits).

One feed is one line, ``x``: float32, 1 x 3 x 48 x 320, in [-1, 1], padded on the right with 0 as PP-OCR does it. The lines of the
three sets come from one seeded stream of distinct texts, so no text is in two sets. Font size, slant, contrast, blur and noise are
chosen so that the float model misses about one line in six: a metric at 1.0 would hide damage.

Deploy with ``--shape x=1x3x48x320 --calib tests/tasks/recogniser.py:calibration --eval tests/tasks/recogniser.py:evaluate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rendering import KINDS, Hardness, compose, normalise_line, render_line
from task_common import MODELS, Array, Feed, Predict, score_document

SHAPE = {"x": (1, 3, 48, 320)}
N_CALIBRATION, N_EVALUATION, N_THIRD = 100, 200, 500
WIDTH_PX = 320
HARDNESS = Hardness()


@dataclass(frozen=True)
class Line:
    """One rendered line: what it says, of which kind it is, and the feed."""

    text: str
    kind: str
    feed: Feed


def model() -> Path:
    """The recogniser as its package ships it (opset 12, weights in Constant nodes, dictionary in the metadata)."""
    return MODELS / "ppocr" / "recogniser.onnx"


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 100 lines that no score is taken from."""
    for line in lines(0, N_CALIBRATION):
        yield line.feed


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: exact match on 200 lines; slices by kind of text."""
    return score(predict, lines(N_CALIBRATION, N_EVALUATION))


def third(predict: Predict) -> dict[str, Any]:
    """The score on 500 lines that edgekit is never given."""
    return score(predict, lines(N_CALIBRATION + N_EVALUATION, N_THIRD))


def score(predict: Predict, samples: Iterable[Line]) -> dict[str, Any]:
    alphabet = dictionary()
    predictions: list[str] = []
    hits: list[bool] = []
    kinds: list[str] = []
    for line in samples:
        (probabilities,) = predict(line.feed).values()  # 1 x 40 x 6625
        text = decode(np.asarray(probabilities)[0], alphabet).replace(" ", "")
        predictions.append(text)
        hits.append(text == line.text.replace(" ", ""))
        kinds.append(line.kind)
    return score_document("exact match", hits, kinds, predictions)


def decode(probabilities: Array, alphabet: tuple[str, ...]) -> str:
    """Greedy CTC: the best class of each column (columns x classes), repeats merged, blanks (class 0) dropped."""
    best = probabilities.argmax(axis=-1)
    changed = np.concatenate([[True], best[1:] != best[:-1]])
    return "".join(alphabet[index] for index in best[changed & (best != 0)]).strip()


@cache
def dictionary() -> tuple[str, ...]:
    """Class index -> character: the blank, the characters in the model's metadata, the space."""
    import onnx

    metadata = {entry.key: entry.value for entry in onnx.load(model()).metadata_props}
    return ("", *metadata["character"].split("\n"), " ")


# ---------------------------------------------------------------- the lines
def lines(first: int, count: int) -> Iterator[Line]:
    """Lines ``first`` to ``first + count`` of the one stream; the same on every call."""
    for index, (text, kind) in enumerate(texts()[first : first + count], start=first):
        grey = render_line(text, np.random.default_rng([7, index]), HARDNESS)
        yield Line(text, kind, {"x": normalise_line(grey, WIDTH_PX)})


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """All texts of the three sets, distinct, with their kinds in turn."""
    rng = np.random.default_rng(2026)
    found: dict[str, str] = {}
    while len(found) < N_CALIBRATION + N_EVALUATION + N_THIRD:
        kind = KINDS[len(found) % len(KINDS)]
        found.setdefault(compose(kind, rng), kind)
    return tuple(found.items())
