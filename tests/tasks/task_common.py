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
    return {
        "name": name,
        "value": float(np.mean(hits)),
        "higher_is_better": True,
        "n": len(hits),
        "slices": {slice_name: _slice(hits, slices, slice_name) for slice_name in sorted(set(slices))},
        "predictions": list(predictions),
        "per_sample": [float(hit) for hit in hits],
    }


def _slice(hits: Sequence[bool], slices: Sequence[str], name: str) -> dict[str, float | int]:
    members = [hit for hit, slice_name in zip(hits, slices, strict=True) if slice_name == name]
    return {"value": float(np.mean(members)), "n": len(members)}
