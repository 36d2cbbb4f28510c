"""LiteRT on whole deploys: nets from PyTorch in int8 that hold on pictures they never saw, and ``auto`` among three runtimes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.bundle_running import bundle_predictor
from support.paired import assert_holds
from support.requirements import needs, torch_models
from support.running import onnx_predictor
from support.tasks import task
from support.tflite import needs_litert

import edgekit
from edgekit.contract import to_artifact, to_original
from edgekit.manifest import check_bundle


@pytest.fixture(autouse=True)
def _needs_litert() -> None:
    needs_litert()


@pytest.fixture(scope="module")
def models() -> ModuleType:
    return torch_models()


def predictor(bundle: Path) -> Any:
    """``predict(feed)`` of a bundle under the model's own names."""
    artifact, run = check_bundle(bundle).bundle.artifact, bundle_predictor(bundle)
    assert artifact is not None
    return lambda feed: to_original(run(to_artifact(feed, artifact.io)), artifact.io)


@pytest.mark.parametrize(
    ("kind", "as_file"),
    [pytest.param("MobileNetV2", False, marks=pytest.mark.slow), pytest.param("ResNet18", True, marks=pytest.mark.long)],
)
def test_a_net_from_pytorch_in_int8(models: ModuleType, tmp_path: Path, kind: str, as_file: bool) -> None:
    """The winner holds edgekit's gates on 500 pictures that it never saw: the net's own answers and the labels."""
    import torch

    net = models.taught(getattr(models, kind))
    if as_file:
        model = models.save_pt2(tmp_path / "net.pt2", net, (models.example(1),))
    else:
        model = edgekit.from_torch(net, models.example(1))
    images, labels = models.pictures(140, seed=100)
    report = edgekit.deploy(
        model, target="tflite", precision="int8", budget="5s", output=tmp_path / "out",
        calib=[{"image": image[None].numpy()} for image in images],
    )  # fmt: skip
    assert report.winner is not None
    assert report.winner.id.startswith("tflite/int8")
    predict = predictor(tmp_path / "out")
    images, labels = models.pictures(500, seed=200)
    with torch.no_grad():
        before = net(images).numpy().argmax(-1)
    after = np.array([next(iter(predict({"image": image[None].numpy()}).values())).argmax() for image in images])
    scores = [
        {"name": "accuracy", "n": 500, "value": hits.mean(), "per_sample": hits}
        for hits in (before == labels.numpy(), after == labels.numpy())
    ]
    print(kind, report.winner.id, assert_holds(*scores))
    assert scores[0]["value"] > 0.9, "the net has learned nothing"
    assert (before == after).mean() >= 0.98


@pytest.mark.real_model
@pytest.mark.slow
def test_auto_takes_the_best_of_three_runtimes_by_what_it_measured(tmp_path: Path) -> None:
    needs("openvino", "nncf")
    digits, out = task("digits"), tmp_path / "out"
    report = edgekit.deploy(
        digits.model(), target="auto", calib=digits.calibration, eval=digits.evaluate, budget="12s", output=out,
    )  # fmt: skip
    assert report.winner is not None
    accepted = {row.id: row for row in report.candidates if row.accepted and row.latency_s is not None}
    assert {row.target for row in accepted.values()} == {"onnx", "openvino", "tflite"}
    winner = accepted[report.winner.id]
    # Nothing that holds the gates was faster beyond doubt: by more than the 3 % that count as a tie, and by intervals that part.
    for row in accepted.values():
        assert 1.03 * row.latency_s.ci95[1] >= winner.latency_s.ci95[0], (row.id, winner.id)
    print(report.winner.id, assert_holds(digits.third(onnx_predictor(digits.model())), digits.third(predictor(out))))
