"""Predicting with a model file or a bundle's artifact, without edgekit: what a test trusts to check edgekit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

Array = Any
Predict = Callable[[Mapping[str, Array]], dict[str, Array]]


def onnx_predictor(model: Path) -> Predict:
    """``predict(feed)`` straight from ONNX Runtime, on one thread: two that wait for each other crawl on a busy machine."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def predict(feed: Mapping[str, Array]) -> dict[str, Array]:
        return dict(zip(names, session.run(None, {k: np.asarray(v) for k, v in feed.items()}), strict=True))

    return predict


def artifact_of(bundle: Path) -> Path:
    """The file that a bundle's runtime loads."""
    import json

    manifest = json.loads((bundle / "edgekit.json").read_text())
    return bundle / "artifact" / manifest["artifact"]["entry"]
