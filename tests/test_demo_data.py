"""The models and data that ``edgekit demo`` ships: small, loadable from the package, right, and free of overlap."""

from __future__ import annotations

import io
from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from support.digits import stroke_slices

from edgekit.model import load_model

ASSETS = Path(__file__).parent / "assets/digits"
DEMO = resources.files("edgekit") / "_demo"


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO((DEMO / name).read_bytes()), allow_pickle=False) as stored:
        return dict(stored)


def test_it_takes_less_than_a_megabyte() -> None:
    assert sum(len(entry.read_bytes()) for entry in DEMO.iterdir()) < 1_000_000


def test_origin_and_licence_are_said() -> None:
    assert "MIT License" in (DEMO / "LICENSE-mnist.txt").read_text("utf-8")
    described = (DEMO / "README.md").read_text("utf-8")
    assert all(entry.name in described for entry in DEMO.iterdir() if entry.name != "README.md")


def test_the_data_have_the_agreed_form() -> None:
    calibration, evaluation = arrays("calibration.npz"), arrays("evaluation.npz")
    assert set(calibration) == {"image"}
    assert set(evaluation) == {"image", "labels", "slices"}
    for images in (calibration["image"], evaluation["image"]):
        assert images.dtype == np.float32
        assert images.shape[1:] == (1, 28, 28)
        assert (images.min(), images.max()) == (0, 1)
    assert (len(calibration["image"]), len(evaluation["image"])) == (240, 400)
    assert evaluation["labels"].dtype == np.int64
    assert set(evaluation["labels"]) == set(range(10))
    bytes_again = np.rint(evaluation["image"][:, 0] * 255).astype(np.uint8)
    assert (stroke_slices(bytes_again) == evaluation["slices"]).all()
    assert min(np.mean(evaluation["slices"] == name) for name in ("thin", "bold")) > 0.4


def test_no_image_is_in_both_sets() -> None:
    calibration, evaluation = (
        {image.tobytes() for image in arrays(f"{name}.npz")["image"]} for name in ("calibration", "evaluation")
    )
    assert len(calibration) == 240
    assert len(evaluation) == 400
    assert not calibration & evaluation


@pytest.mark.parametrize("name", ["digits-wide", "digits-small"])
def test_the_models_read_digits(name: str) -> None:
    with resources.as_file(DEMO / f"{name}.onnx") as path:
        model = load_model(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("image", ("n", 1, 28, 28))]
    evaluation = arrays("evaluation.npz")
    predicted = session.run(None, {"image": evaluation["image"]})[0].argmax(axis=1)
    assert np.mean(predicted == evaluation["labels"]) > 0.96


def test_the_small_one_is_the_digits_net_of_the_tests() -> None:
    assert (DEMO / "digits-small.onnx").read_bytes() == (ASSETS / "digits.onnx").read_bytes()
