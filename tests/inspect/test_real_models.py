"""No false alarm on real models: what was not compressed is not said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.requirements import missing, models_folder
from support.tasks import task

from edgekit.inspect import inspect_model
from edgekit.model import load_model

PLAIN = (
    "ppocr/recogniser.onnx",
    "ppocr/detector.onnx",
    "ppocr/angle.onnx",
    "magika/model.onnx",
    "silero-vad/silero_vad.onnx",
)


def _fetched(pattern: str) -> Path:
    found = sorted(models_folder().glob(pattern))
    if not found:
        missing(f"{pattern} is not here: run scripts/fetch_models")
    return found[0]


@pytest.mark.real_model
@pytest.mark.parametrize("name", PLAIN)
def test_a_model_that_was_not_compressed_raises_no_alarm(name: str) -> None:
    inspection = inspect_model(load_model(_fetched(name)))
    assert [finding.kind for finding in inspection.findings] == []
    assert inspection.content.parameters > 10_000


@pytest.mark.real_model
def test_a_transformer_raises_no_alarm() -> None:
    assert inspect_model(load_model(task("minilm").model())).findings == ()


@pytest.mark.real_model
def test_integer_weights_are_recognised_in_a_model_that_ships_with_them() -> None:
    inspection = inspect_model(load_model(_fetched("minilm-int8/*.onnx")))
    assert [finding.kind for finding in inspection.findings] == ["quantized"]
