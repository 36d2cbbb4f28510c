"""What every task needs: where the fetched files are, and the document that an evaluation returns (CONTRACTS 3).

Whoever loads a task has its folder on ``sys.path`` meanwhile, as ``edgekit`` does for ``file.py:function``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Feed = dict[str, Array]
Predict = Callable[[Feed], Mapping[str, Array]]

TESTS = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("EDGEKIT_MODELS") or TESTS.parent / ".cache" / "models")


def score_document(name: str, hits: Sequence[bool], slices: Sequence[str], predictions: Sequence[str | int]) -> dict[str, Any]:
    """The score of a metric that is a share of hits; one entry a sample in each of the three sequences."""
    return mean_document(name, [float(hit) for hit in hits], slices) | {"predictions": list(predictions)}


def mean_document(name: str, values: Sequence[float], slices: Sequence[str]) -> dict[str, Any]:
    """The score of a metric that is a mean over samples, without predictions; one entry a sample in both sequences."""
    return {
        "name": name,
        "value": float(np.mean(values)),
        "higher_is_better": True,
        "n": len(values),
        "slices": {slice_name: _slice(values, slices, slice_name) for slice_name in sorted(set(slices))},
        "per_sample": list(values),
    }


def _slice(values: Sequence[float], slices: Sequence[str], name: str) -> dict[str, float | int]:
    members = [value for value, slice_name in zip(values, slices, strict=True) if slice_name == name]
    return {"value": float(np.mean(members)), "n": len(members)}
