"""Bundles of the digits net that packages are made of, written in milliseconds: real artifacts, real golden outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import edgekit_onnx.device
import edgekit_tflite.device
import numpy as np
from support.reports import full_report
from support.requirements import ROOT

from edgekit.bundle import write_bundle
from edgekit.contract import to_artifact, to_original
from edgekit.preprocess import Preprocess
from edgekit.types import Artifact, Runner, TensorMap, TensorSpec, sha256_file

DIGITS = ROOT / "tests" / "assets" / "digits"
IMAGE, LOGITS = TensorSpec("image", "float32", ("n", 1, 28, 28)), TensorSpec("logits", "float32", ("n", 10))
PICTURES = Preprocess((28, 28), color="gray")
LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DEVICES: Mapping[str, Any] = {".onnx": edgekit_onnx.device, ".tflite": edgekit_tflite.device}

ONNX_IO = (TensorMap("input", IMAGE, IMAGE), TensorMap("output", LOGITS, LOGITS))
#: ``digits-int8-io.tflite`` as its build described it.
TFLITE_IO = (
    TensorMap("input", IMAGE, TensorSpec("image", "int8", (1, 1, 28, 28)), None, 0.003921568859368563, -128),
    TensorMap("output", LOGITS, TensorSpec("logits", "int8", (1, 10)), None, 0.19021755456924438, 19),
)


def digits_onnx(out: Path, **changes: Any) -> Path:
    """A bundle of the digits net for ONNX Runtime, calibrated with pictures."""
    return artifact_bundle(out, DIGITS / "digits.onnx", ONNX_IO, **changes)


def digits_tflite(out: Path, **changes: Any) -> Path:
    """The same for LiteRT, with input and output in int8."""
    return artifact_bundle(out, DIGITS / "digits-int8-io.tflite", TFLITE_IO, **{"tolerance": 3e-2, **changes})


def artifact_bundle(
    out: Path,
    model: Path,
    io: Sequence[TensorMap],
    *,
    preprocess: Preprocess | None = PICTURES,
    options: Mapping[str, Any] | None = None,
    feed: Mapping[str, Any] | None = None,
    name: str = "digits.onnx",
    tolerance: float = 1e-3,
) -> Path:
    """A bundle whose artifact is ``model``; its golden outputs come from the target's own device code."""
    entry = f"model{model.suffix}"
    device, chosen = DEVICES[model.suffix], {"entry": entry, "threads": 1, **(options or {})}
    feed = feed or {"image": np.random.default_rng(5).uniform(0, 1, (1, 1, 28, 28)).astype(np.float32)}
    session = device.Session({entry: str(model)}, chosen)
    golden = to_original(session.run(to_artifact(feed, io)), io)
    session.close()
    report = full_report()
    calibration = {**(report.calibration or {}), "preprocess": preprocess.to_json() if preprocess else None}
    work = out.with_name(f"{out.name}-work")
    work.mkdir(parents=True)
    (work / entry).write_bytes(model.read_bytes())
    return write_bundle(
        out,
        report=replace(report, model={**report.model, "name": name}, calibration=calibration),
        artifact=Artifact({entry: sha256_file(model)}, entry, tuple(io)),
        artifact_folder=work,
        runner=Runner((Path(device.__file__),), "device", (), (entry,), chosen, tolerance),
        golden_inputs=feed,
        golden_outputs=golden,
        created=datetime(2026, 11, 21, 12, tzinfo=UTC),
    )


def labels_file(folder: Path, labels: Sequence[str] = LABELS) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(labels) + "\n", encoding="utf-8")
    return path
