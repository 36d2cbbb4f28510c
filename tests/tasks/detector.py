"""Text detection: the PP-OCRv4 detector on rendered pages whose lines are known; the metric is hmean, the mean over pages.

One feed is one page, ``x``: float32, 1 x 3 x 384 x 384, normalised as PaddleOCR does it. Pages in small and in large print
alternate; fonts, columns, slant, contrast, light, blur and noise are drawn from a seeded generator a page.

No predictions are returned, so that agreement with float is judged on the map: hmean does not see what becomes of it as long as
the same lines are found.

Deploy with ``--shape x=1x3x384x384 --calib tests/tasks/detector.py:calibration --eval tests/tasks/detector.py:evaluate``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pages import FONT_PX, SIDE_PX, Page, render_page
from task_common import MODELS, Feed, Predict, mean_document
from text_boxes import find_boxes, hmean

SHAPE = {"x": (1, 3, SIDE_PX, SIDE_PX)}
N_CALIBRATION, N_EVALUATION, N_THIRD = 60, 60, 100  # pages, of about 20 lines each
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # PaddleOCR's, in the order of the channels: blue, green, red
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def model() -> Path:
    """The detector as its package ships it (weights in Constant nodes, free shapes)."""
    return MODELS / "ppocr" / "detector.onnx"


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 60 pages that no score is taken from."""
    for index in range(N_CALIBRATION):
        yield feed(page(index).picture)


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: hmean on 60 pages; slices by the size of the print."""
    return score(predict, N_CALIBRATION, N_EVALUATION)


def third(predict: Predict) -> dict[str, Any]:
    """The score on 100 pages that edgekit is never given."""
    return score(predict, N_CALIBRATION + N_EVALUATION, N_THIRD)


def score(predict: Predict, first: int, count: int) -> dict[str, Any]:
    indices = range(first, first + count)
    values: list[float] = []
    for index in indices:
        (probabilities,) = predict(feed(page(index).picture)).values()  # 1 x 1 x 384 x 384
        values.append(hmean(find_boxes(np.asarray(probabilities, np.float32)[0, 0]), page(index).lines))
    return mean_document("hmean", values, [print_of(index) for index in indices])


def feed(picture: npt.NDArray[np.uint8]) -> Feed:
    bgr = picture[..., ::-1].astype(np.float32)
    return {"x": np.ascontiguousarray(((bgr / 255.0 - MEAN) / DEVIATION).transpose(2, 0, 1)[None])}


def print_of(index: int) -> str:
    return tuple(FONT_PX)[index % len(FONT_PX)]


@cache
def page(index: int) -> Page:
    """Page ``index`` of the one stream; the same on every call."""
    return render_page(print_of(index), np.random.default_rng([11, index]))
