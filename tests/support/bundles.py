"""A small real bundle: a classifier as an ONNX artifact with the onnx target's own device code."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import edgekit_onnx
import numpy as np
import onnxruntime as ort

from edgekit.bundle import write_bundle
from edgekit.types import Artifact, Measurement, RunFailure, Runner, TensorMap, TensorSpec, sha256_file

from .reports import FLOAT, full_report, measurement
from .small_models import classifier, images

DEVICE = Path(edgekit_onnx.__file__).with_name("device.py")


def onnx_artifact(folder: Path) -> tuple[Artifact, Runner]:
    model = classifier(folder / "model.onnx", hidden=4)
    x, logits = TensorSpec("x", "float32", (1, 1, 8, 8)), TensorSpec("logits", "float32", (1, 4))
    artifact = Artifact(
        files={"model.onnx": sha256_file(model)},
        entry="model.onnx",
        io=(TensorMap("input", x, x), TensorMap("output", logits, logits)),
        provenance={"tools": {"onnxruntime": ort.__version__}},
    )
    options = {"entry": "model.onnx", "threads": 1}
    return artifact, Runner((DEVICE,), "device", ("onnxruntime",), ("model.onnx",), options, 1e-3)


def small_bundle(out: Path, work: Path, **changes: Any) -> Path:
    """Writes a bundle to ``out``; ``changes`` replace arguments of write_bundle."""
    work.mkdir(parents=True, exist_ok=True)
    artifact, runner = onnx_artifact(work)
    feed = {"x": images(1)}
    session = ort.InferenceSession(str(work / "model.onnx"), providers=["CPUExecutionProvider"])
    measurements: dict[str, Measurement | RunFailure] = {FLOAT.id: measurement(), "onnx/int8": RunFailure("crash", "signal 11")}
    arguments: dict[str, Any] = {
        "report": full_report(),
        "artifact": artifact,
        "artifact_folder": work,
        "runner": runner,
        "measurements": measurements,
        "golden_inputs": feed,
        "golden_outputs": {"logits": np.asarray(session.run(["logits"], feed)[0])},
        "created": datetime(2026, 11, 21, 12, tzinfo=UTC),
    }
    return write_bundle(out, **{**arguments, **changes})
