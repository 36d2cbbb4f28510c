"""File types: magika standard_v3_3 on files of known type; the metric is top-1.

One feed is one file, ``bytes``: int32, 1 x 2048, the first 1024 bytes after leading white space, then the last 1024 before trailing
white space, each taken from a block of 4096 and padded with 256: the model's config.min.json, and magika's own feature extraction.
The answer is the most probable of its 214 types; magika's thresholds, which turn unsure answers into "txt" or "unknown", are left
out.

Where the files are from is in ``magika_files.py``. They are ordered by the hash of what the model sees of them, and the three sets
are consecutive runs of that order, so no file is in two sets.

Deploy with ``--calib tests/tasks/magika.py:calibration --eval tests/tasks/magika.py:evaluate``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import magika_files
import numpy as np
import numpy.typing as npt
from task_common import MODELS, Feed, Predict, score_document

SHAPE = {"bytes": (1, 2048)}
N_CALIBRATION, N_EVALUATION, N_THIRD = 100, 300, 500


def model() -> Path:
    """magika's network as its package ships it (opset 15); a path to nothing where the fetched files are not there."""
    return MODELS / "magika" / "model.onnx"


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 100 files that no score is taken from."""
    for feed, _ in files()[:N_CALIBRATION]:
        yield feed


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: top-1 on 300 files; slices by kind of file."""
    return score(predict, files()[N_CALIBRATION : N_CALIBRATION + N_EVALUATION])


def third(predict: Predict) -> dict[str, Any]:
    """The score on 500 files that edgekit is never given."""
    return score(predict, files()[N_CALIBRATION + N_EVALUATION : N_CALIBRATION + N_EVALUATION + N_THIRD])


def score(predict: Predict, chosen: Sequence[tuple[Feed, magika_files.Sample]]) -> dict[str, Any]:
    labels = settings()["target_labels_space"]
    found: list[str] = []
    for feed, _ in chosen:
        (probabilities,) = predict(feed).values()  # 1 x 214
        found.append(labels[int(np.argmax(probabilities))])
    hits = [name in sample.right for name, (_, sample) in zip(found, chosen, strict=True)]
    return score_document("top-1", hits, [sample.slice_name for _, sample in chosen], found)


@cache
def files() -> tuple[tuple[Feed, magika_files.Sample], ...]:
    """The files of all three sets, each with its feed; what is the same to the model is there once."""
    found: dict[bytes, tuple[Feed, magika_files.Sample]] = {}
    for sample in magika_files.samples():
        tokens = features(sample.content)
        found.setdefault(hashlib.sha256(tokens.tobytes()).digest(), ({"bytes": tokens[None]}, sample))
    wanted = N_CALIBRATION + N_EVALUATION + N_THIRD
    if len(found) < wanted:
        raise RuntimeError(f"only {len(found)} files of known type were found, {wanted} are needed")
    return tuple(found[key] for key in sorted(found)[:wanted])


def features(content: bytes) -> npt.NDArray[np.int32]:
    """What magika shows its network of a file: 2048 numbers, 0 to 255 or the padding."""
    rules = settings()
    tokens = np.full(rules["beg_size"] + rules["end_size"], rules["padding_token"], np.int32)
    head = content[: rules["block_size"]].lstrip()[: rules["beg_size"]]
    tail = content[-rules["block_size"] :].rstrip()[-rules["end_size"] :]
    tokens[: len(head)] = np.frombuffer(head, np.uint8)
    tokens[len(tokens) - len(tail) :] = np.frombuffer(tail, np.uint8)
    return tokens


@cache
def settings() -> dict[str, Any]:
    """The model's config.min.json: sizes, padding, names of the types."""
    rules = json.loads((MODELS / "magika" / "config.min.json").read_bytes())
    assert isinstance(rules, dict)
    return rules
