"""The digits net's variants, each made by one kind of compression: recognised, and only as what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.inspect import Inspection, inspect_model
from edgekit.model import load_model
from edgekit.values import from_json, to_json

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "tests/assets/digits"
DEMO = ROOT / "edgekit/_demo"
EXPECTED = {
    "digits": [],
    "digits-masked": ["masked-structured"],
    "digits-sparse80": ["unstructured-sparsity"],
    "digits-svd": ["factorized"],
    "digits-cluster16": ["clustered"],
    "digits-shared": ["shared-weights"],
    "digits-qdq": ["quantized"],
}


def test_every_committed_variant_is_expected() -> None:
    assert {path.stem for path in ASSETS.glob("*.onnx")} == set(EXPECTED)


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items())
def test_variant(name: str, expected: list[str]) -> None:
    inspection = inspect_model(load_model(ASSETS / f"{name}.onnx"))
    assert [finding.kind for finding in inspection.findings] == expected
    assert all(finding.worth["any"] for finding in inspection.findings)
    assert from_json(Inspection, to_json(inspection)) == inspection


@pytest.mark.parametrize("name", ["digits-small", "digits-wide"])
def test_demo_model_raises_no_alarm(name: str) -> None:
    assert inspect_model(load_model(DEMO / f"{name}.onnx")).findings == ()


def evidence(name: str) -> dict[str, object]:
    return inspect_model(load_model(ASSETS / f"{name}.onnx")).findings[0].evidence


def test_evidence_counts() -> None:
    assert evidence("digits-masked")["zero_filters"] == 2 + 5 + 19
    assert evidence("digits-sparse80")["fraction"] == pytest.approx(0.8, abs=0.01)
    assert evidence("digits-svd")["pairs"] == 2
    largest = evidence("digits-cluster16")["largest"]
    assert [(entry["tensor"], entry["values"]) for entry in largest][:1] == [("fc1.weight", 16)]
    assert evidence("digits-shared")["uses"] == 3
    assert evidence("digits-qdq")["tensors"] == 4
    assert evidence("digits-qdq")["form"] == "Q/DQ"


def test_content_of_the_digits_net() -> None:
    content = inspect_model(load_model(ASSETS / "digits.onnx")).content
    assert content.parameters == (8 * 9 + 8) + (16 * 8 * 9 + 16) + (784 * 64 + 64) + (64 * 10 + 10)
    assert content.macs == 28 * 28 * 8 * 9 + 14 * 14 * 16 * 72 + 784 * 64 + 64 * 10
    assert content.weight_bytes == {"float32": 4 * content.parameters}
    assert content.operators["Conv"] == 2
    assert [layer.node for layer in content.layers] == ["conv1", "conv2", "fc1", "logits"]
    sparse = inspect_model(load_model(ASSETS / "digits-sparse80.onnx")).content
    assert sparse.zip_bytes < 0.5 * content.zip_bytes
