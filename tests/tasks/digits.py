"""Handwritten digits: the small digits net of tests/assets/digits; the metric is accuracy.

One feed is one image: float32, 1 x 1 x 28 x 28, in 0..1. The division into training, calibration, evaluation and third set is that
of tests/support/digits.py, by which the net was trained.

Deploy with ``--calib tests/tasks/digits.py:calibration --eval tests/tasks/digits.py:evaluate``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from task_common import MODELS, TESTS, Feed, Predict, score_document

if str(TESTS) not in sys.path:
    sys.path.append(str(TESTS))

from support.digits import as_input, read_digits, split_indices

INPUT = "image"


def model() -> Path:
    """The committed net; a path to nothing where the digits (an npm package) have not been fetched."""
    fetched = (MODELS / "digits" / "0.json").exists()
    return TESTS / "assets" / "digits" / "digits.onnx" if fetched else MODELS / "digits" / "0.json"


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 500 images, without their labels."""
    for image, _ in split("calibration"):
        yield {INPUT: image}


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: accuracy on 1000 images; slices by digit."""
    return score(predict, "evaluation")


def third(predict: Predict) -> dict[str, Any]:
    """The score on 2500 images that neither training nor edgekit has seen."""
    return score(predict, "third")


def score(predict: Predict, name: str) -> dict[str, Any]:
    found: list[int] = []
    truth: list[int] = []
    for image, label in split(name):
        (logits,) = predict({INPUT: image}).values()
        found.append(int(np.argmax(logits)))
        truth.append(label)
    hits = [a == b for a, b in zip(found, truth, strict=True)]
    return score_document("accuracy", hits, [f"digit {label}" for label in truth], found)


def split(name: str) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
    """Images (1 x 1 x 28 x 28) and labels of one part."""
    images, labels = rows()
    for index in split_indices(name):
        yield as_input(images[index : index + 1]), int(labels[index])


def rows() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    return read_digits(MODELS / "digits")
