"""What the packages for JavaScript share, under Node.js: the modules are those of the sources, and compute what Python does."""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import javascript
from support.contract_bundles import contract_bundle, tensor

import edgekit
from edgekit.contract import to_artifact, to_original
from edgekit.packaging.javascript import compiled_path
from edgekit.packaging.javascript.contract import ARRAYS
from edgekit.packaging.source import read_source
from edgekit.preprocess_golden import golden_vectors
from edgekit.types import Artifact

TENSORS = (
    tensor("input", "pixels", (1, 3, 4, 5), permutation=(0, 2, 3, 1), stored="int8", scale=0.75, zero_point=-3),
    tensor("input", "levels", (2, 7), stored="uint8", scale=0.5, zero_point=128),
    tensor("input", "token/ids", (2, "n"), "int64", stored="int32"),
    tensor("input", "mask", (1, 6), "bool"),
    tensor("output", "scores", (1, 4, 6), permutation=(2, 0, 1), stored="int8", scale=0.0437, zero_point=5),
    tensor("output", "best", (3,), "int64", stored="int32"),
    tensor("output", "half", (2, 2), "float16"),
)


def test_the_compiled_modules_are_those_of_the_sources(tmp_path: Path) -> None:
    compiler = javascript.compiler()
    fresh = compiler.compile_into(tmp_path / "dist", javascript.packages())
    assert compiler.differences(fresh, compiled_path("")) == []


def test_preprocessing_gives_the_golden_vectors_to_the_bit() -> None:
    text = resources.files("edgekit").joinpath("_golden/preprocess-1.json").read_text("utf-8")
    found = json.loads(javascript.run_node(javascript.FOLDER / "golden_vectors.mjs", compiled_path(""), stdin=text))
    vectors = golden_vectors()
    assert len(found) == len(vectors) == 20
    for got, vector in zip(found, vectors, strict=True):
        assert got["kind"] == ARRAYS[str(vector.expected.dtype)]
        assert got["dims"] == list(vector.expected.shape)
        assert base64.b64decode(got["data"]) == vector.expected.tobytes()


def test_the_self_test_compares_what_is_not_finite() -> None:
    """A mask of -inf is neither a difference nor the scale of all others."""
    stored = ["1", "-Infinity", "NaN", "2"]
    close = (stored, ["1", "-Infinity", "NaN", "2.001"])
    others = (
        ["1", "-Infinity", "NaN", "2.1"],
        ["1", "Infinity", "NaN", "2"],
        ["1", "0", "NaN", "2"],
        ["NaN", "-Infinity", "NaN", "2"],
    )
    pairs = json.dumps([[found, stored] for found in (*close, *others)])
    answer = javascript.run_node(javascript.FOLDER / "compared.mjs", compiled_path(""), stdin=pairs)
    assert json.loads(answer) == [True] * len(close) + [False] * len(others)


@pytest.fixture(scope="module")
def handled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The contract, the example's inputs, the stored outputs a runtime gave, and what JavaScript made of both."""
    folder = tmp_path_factory.mktemp("tensors")
    bundle = contract_bundle(folder / "bundle", folder / "work", TENSORS)
    edgekit.package(bundle, format="web", output=folder / "web")
    source, rng = read_source(bundle), np.random.default_rng(3)
    stored = {
        t.artifact.name: rng.integers(0, 100, [size if isinstance(size, int) else 2 for size in t.artifact.shape]).astype(
            t.artifact.dtype
        )
        for t in source.outputs
    }
    answer = javascript.run_node(
        javascript.FOLDER / "stored_tensors.mjs", folder / "web", stdin=json.dumps(javascript.tensors(stored))
    )
    return source.artifact, dict(source.golden.inputs), stored, json.loads(answer)


def same(found: dict[str, Any], expected: Any) -> bool:
    return bool(
        found["kind"] == ARRAYS[str(expected.dtype)]
        and found["dims"] == list(expected.shape)
        and base64.b64decode(found["data"]) == expected.tobytes()
    )


def test_inputs_are_stored_as_python_stores_them(handled: Any) -> None:
    artifact, inputs, _, answer = handled
    expected = to_artifact(inputs, artifact.io)
    assert {name: same(found, expected[name]) for name, found in answer["inputs"].items()} == dict.fromkeys(expected, True)
    assert np.unique(expected["pixels"]).size > 3  # not all clipped to one number


def test_outputs_come_back_as_python_restores_them(handled: Any) -> None:
    artifact, _, stored, answer = handled
    expected = to_original(stored, artifact.io)
    assert {name: same(found, expected[name]) for name, found in answer["outputs"].items()} == dict.fromkeys(expected, True)
