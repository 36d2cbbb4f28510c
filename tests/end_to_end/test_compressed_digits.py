"""Compressed variants of the digits net: recognised, deployed, and held against the net they were made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.commands import document, edgekit_forked
from support.digits import as_input, read_digits, split_indices
from support.requirements import ROOT, missing, models_folder
from support.running import artifact_of
from support.schemas import validator

ASSETS = ROOT / "tests" / "assets" / "digits"
VARIANTS = {
    "digits-masked": "masked-structured",
    "digits-sparse80": "unstructured-sparsity",
    "digits-svd": "factorized",
    "digits-cluster16": "clustered",
    "digits-shared": "shared-weights",
    "digits-qdq": "quantized",
}


# What a search makes of a net matters to these two; the others are held against their baseline in the precision they came in.
SEARCHED = {"digits-shared", "digits-qdq"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    folder = models_folder() / "digits"
    if not folder.exists():
        missing("the digits are not here: run scripts/fetch_models")
    images, labels = read_digits(folder)
    out = tmp_path_factory.mktemp("digits")
    fit, test = split_indices("calibration")[:100], split_indices("evaluation")[:400]
    np.savez(out / "calibration.npz", image=as_input(images[fit]))
    np.savez(out / "evaluation.npz", image=as_input(images[test]), labels=labels[test])
    yield out / "calibration.npz", out / "evaluation.npz"


@pytest.mark.parametrize(("variant", "kind"), VARIANTS.items())
def test_each_variant_is_recognised_and_compared_with_its_baseline(
    variant: str, kind: str, data: tuple[Path, Path], tmp_path: Path
) -> None:
    model = ASSETS / f"{variant}.onnx"
    inspected = document(edgekit_forked("inspect", model, "--json"))
    validator("inspect").validate(inspected)
    kinds = {finding["kind"] for finding in inspected["findings"]}
    assert kind in kinds
    out = tmp_path / "out"
    precision = () if variant in SEARCHED else ("--precision", "fp32")
    result = edgekit_forked(
        "deploy", model, "--target", "onnx", "--calib", data[0], "--eval", data[1], "--metric", "accuracy",
        "--baseline", ASSETS / "digits.onnx", "--budget", "2s", *precision, "-o", out, "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    report = document(result)
    _check_baseline(report, kind)
    if variant == "digits-sparse80":
        _says_what_sparsity_bought(report["baseline"])
    if variant == "digits-shared":
        _weights_still_shared(model, artifact_of(out))
    if variant == "digits-qdq":
        assert report["winner"]["id"] == "onnx/as-is"
        assert all(row["stage"] == "rejected" for row in report["candidates"] if row["scheme"] != "as-is")


def _check_baseline(report: dict[str, Any], kind: str) -> None:
    baseline = report["baseline"]
    assert baseline["model"]["name"] == "digits.onnx"
    assert kind in baseline["summary"]
    assert "zipped" in baseline["summary"]
    assert 0.9 < baseline["metric_float"] <= 1
    assert 0.9 < baseline["metric"] <= 1
    low, high = baseline["speedup"]["ci95"]
    assert 0 < low <= baseline["speedup"]["value"] <= high


def _weights_still_shared(model: Path, artifact: Path) -> None:
    def consumers(path: Path) -> list[int]:
        graph = onnx.load(path).graph
        used = [name for node in graph.node for name in node.input]
        return sorted(used.count(t.name) for t in graph.initializer if used.count(t.name) > 1)

    assert consumers(artifact)
    assert max(consumers(artifact)) >= max(consumers(model))


def _says_what_sparsity_bought(baseline: dict[str, Any]) -> None:
    assert baseline["zipped_ratio"] < 0.6  # zeros deflate
    assert baseline["size_ratio"] == pytest.approx(1, abs=0.05)  # and buy nothing in the file
    assert "smaller zipped" in baseline["summary"]


def test_the_plain_net_is_no_false_alarm() -> None:
    inspected = document(edgekit_forked("inspect", ASSETS / "digits.onnx", "--json"))
    assert inspected["findings"] == []
    assert any("QAT" in text or "quantization-aware" in text for text in inspected["cannot_tell"])
