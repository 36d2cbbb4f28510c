"""Files that others converted, in the target's own runner: the same answers as their ONNX twin, and their score after int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgekit_tflite import device, vendor
from edgekit_tflite.target import TARGET
from PIL import Image
from support.requirements import missing, models_folder
from support.running import onnx_predictor
from support.tflite import shared_home

from edgekit.contract import to_artifact, to_original
from edgekit.errors import MissingExtraError
from edgekit.model import load_model
from edgekit.schemes import AsIs, Float32, Int8Dynamic, Int8Static, Scheme
from edgekit.testing.harness import ListFeeds
from edgekit.types import BuildData, Candidate, Profile, Site

try:
    vendor.quantizer("quantizer")
except MissingExtraError as problem:
    missing(str(problem))

MODELS = models_folder()
SITE = Site(Profile("test", "generic", "x86_64", ("tflite",)))
pytestmark = pytest.mark.real_model


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("basic-pitch", "blazeface", "faces"):
        if not (MODELS / name).is_dir():
            missing(f"{name} has not been fetched: scripts/fetch_models")
    monkeypatch.setenv("EDGEKIT_HOME", str(shared_home()))


def test_a_model_that_its_authors_ship_twice_says_the_same_in_both_runtimes() -> None:
    seconds = np.arange(43844) / 22050
    tones = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in (220.0, 277.2, 329.6)) / 4
    signal = tones.astype(np.float32).reshape(1, -1, 1)
    session = device.Session({"nmp.tflite": str(MODELS / "basic-pitch" / "nmp.tflite")}, {})
    got = session.run({"input_2": signal})
    want = onnx_predictor(MODELS / "basic-pitch" / "nmp.onnx")({"serving_default_input_2:0": signal})
    assert {name: value.shape for name, value in got.items()} == {
        "contour": (1, 172, 264), "note": (1, 172, 88), "onset": (1, 172, 88),
    }  # fmt: skip
    for value in got.values():
        assert min(np.abs(value - other).max() for other in want.values() if other.shape == value.shape) < 1e-5


# 100 faces and 100 other cuttings of photographs, 25 x 25, as the test images of scikit-image have them.
# The larger net has channels of very different ranges side by side: static int8 breaks it, and a deploy refuses that.
@pytest.mark.parametrize(("name", "size", "has_static"), [("front", 128, True), ("back", 256, False)])
def test_a_face_detector_keeps_its_score_after_our_int8(tmp_path: Path, name: str, size: int, has_static: bool) -> None:
    model = load_model(MODELS / "blazeface" / f"{name}.tflite")
    feeds = [feed(image, size) for image in np.load(MODELS / "faces" / "lfw_subset.npy", allow_pickle=False)]
    fit = feeds[0:100:3] + feeds[100::3]
    data = BuildData(ListFeeds(fit), ListFeeds(fit[:8]), name.rjust(64, "0"))
    baseline = next(each.scheme for each in TARGET.candidates(model, SITE) if isinstance(each.scheme, (AsIs, Float32)))

    def auc(scheme: Scheme, **options: Any) -> float:
        folder = tmp_path / f"{scheme.slug}-{'-'.join(options)}"
        folder.mkdir()
        artifact = TARGET.build(model, Candidate("tflite", scheme, build_options=options), data, SITE, folder)
        session = device.Session({"model.tflite": str(folder / artifact.entry)}, {})
        others = [index for index in range(200) if index % 3]
        stored = [session.run(to_artifact(feeds[index], artifact.io)) for index in others]
        scores = np.array([to_original(outputs, artifact.io)["classificators"].max() for outputs in stored])
        is_face = np.array(others) < 100
        return float((scores[is_face][:, None] > scores[~is_face]).mean())

    in_float = auc(baseline)
    assert in_float > 0.99
    assert not has_static or auc(Int8Static("percentile"), last_layers="float") > in_float - 0.01
    assert auc(Int8Dynamic(), convolutions=True) > in_float - 0.01


def feed(image: Any, size: int) -> dict[str, Any]:
    """A picture in [0, 1] as the detector takes it: three channels in [-1, 1]."""
    grey = Image.fromarray(np.rint(image * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BILINEAR)
    return {"input": np.repeat((np.asarray(grey, np.float32) / 127.5 - 1)[None, ..., None], 3, axis=-1)}
