"""A slice that a real int8 build breaks while the overall metric hardly moves: digits in normal light, and one in 125 in the dark.

The net has no biases, so in float its answer does not depend on how bright a picture is (scripts/train_slices.py says why). Static
int8 has one range a tensor; the bright majority sets it, and a picture at 1/200 of the light falls into its lowest steps or below.
Calibration sees the same mixture as the evaluation: nothing is withheld from the build, the format itself cannot hold both.

One feed is one image: float32, 1 x 1 x 28 x 28, in 0..1.

Deploy with ``--calib tests/tasks/slices.py:calibration`` and ``--eval tests/tasks/slices.py:evaluate`` (int8 is refused for the
slice "dark"), or with ``calibration_without_broken_slice`` and ``evaluate_without_broken_slice`` (int8 is accepted).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import digits
import numpy as np
from task_common import TESTS, Array, Feed, Predict, score_document

INPUT = "image"
BROKEN_SLICE = "dark"
OTHER_SLICE = "normal light"
DARK_EVERY = 125
EXPOSURE = np.float32(1 / 200)


def model() -> Path:
    """The committed net; a path to nothing where the digits (an npm package) have not been fetched."""
    return TESTS / "assets" / "slices" / "exposure.onnx" if digits.model().suffix == ".onnx" else digits.model()


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 500 images, 4 of them dark."""
    for image, _, _ in pictures("calibration"):
        yield {INPUT: image}


def calibration_without_broken_slice() -> Iterator[Feed]:
    for image, _, light in pictures("calibration"):
        if light != BROKEN_SLICE:
            yield {INPUT: image}


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: accuracy on 3500 images, 28 of them dark; slices by light."""
    return score(predict, skip="")


def evaluate_without_broken_slice(predict: Predict) -> dict[str, Any]:
    """The same without the dark images."""
    return score(predict, skip=BROKEN_SLICE)


def score(predict: Predict, *, skip: str, n: int | None = None) -> dict[str, Any]:
    """Of the first ``n`` images, or of all, without those of the slice ``skip``."""
    found: list[int] = []
    truth: list[int] = []
    lights: list[str] = []
    seen = islice(pictures("evaluation", "third"), n)  # there is no later set here: the question is what edgekit sees
    for image, label, light in seen:
        if light == skip:
            continue
        (logits,) = predict({INPUT: image}).values()
        found.append(int(np.argmax(logits)))
        truth.append(label)
        lights.append(light)
    return score_document("accuracy", [a == b for a, b in zip(found, truth, strict=True)], lights, found)


def pictures(*splits: str) -> Iterator[tuple[Array, int, str]]:
    """Image, label and light of each row; every 125th is dark."""
    rows = (row for split in splits for row in digits.split(split))
    for index, (image, label) in enumerate(rows):
        if index % DARK_EVERY == DARK_EVERY // 2:
            yield image * EXPOSURE, label, BROKEN_SLICE
        else:
            yield image, label, OTHER_SLICE
