from __future__ import annotations

import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper
from support.inspected import graph_of, normal

from edgekit.inspect import inspect_model
from edgekit.inspect.content import zipped_size
from edgekit.inspect.macs import known_shapes, macs_of
from edgekit.inspect.worth import worth_of
from edgekit.model import load_model


def macs(node: onnx.NodeProto, initializers: dict[str, np.ndarray], shape: list[object]) -> int | None:
    proto = graph_of([node], initializers, shape=shape)
    return macs_of(node, known_shapes(proto))


def test_macs_of_each_operator() -> None:
    convolution = helper.make_node("Conv", ["x", "w"], ["y"], group=4, strides=[2, 2], pads=[1, 1, 1, 1])
    assert macs(convolution, {"w": normal(8, 2, 3, 3)}, [1, 8, 10, 10]) == 8 * 5 * 5 * 2 * 9
    transposed = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    assert macs(transposed, {"w": normal(8, 4, 2, 2)}, [1, 8, 5, 5]) == 8 * 5 * 5 * 4 * 4
    assert macs(helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), {"w": normal(7, 16)}, [3, 16]) == 3 * 7 * 16
    assert macs(helper.make_node("Gemm", ["x", "w"], ["y"], transA=1), {"w": normal(16, 7)}, [16, 3]) == 3 * 7 * 16
    assert macs(helper.make_node("MatMul", ["x", "w"], ["y"]), {"w": normal(16, 7)}, [2, 5, 16]) == 2 * 5 * 7 * 16
    recurrent = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=6, direction="bidirectional")
    weights = {"w": normal(2, 24, 5), "r": normal(2, 24, 6)}
    assert macs(recurrent, weights, [9, 1, 5]) == 9 * 2 * 4 * 6 * (5 + 6)


def test_a_free_batch_counts_as_one_and_another_free_axis_as_unknown() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert macs(node, {"w": normal(16, 7)}, ["n", 5, 16]) == 5 * 7 * 16
    assert macs(node, {"w": normal(16, 7)}, ["n", "length", 16]) is None


def test_what_is_free_is_named(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = tmp_path / "free.onnx"
    onnx.save(graph_of([node], {"w": normal(16, 7)}, shape=["n", "length", 16], opset=17), path)
    content = inspect_model(load_model(path)).content
    assert content.macs is None
    assert "x" in content.macs_reason
    assert "--shape" in content.macs_reason
    fixed = inspect_model(load_model(path, shape={"x": (1, 4, 16)})).content
    assert (fixed.macs, fixed.macs_reason) == (4 * 7 * 16, "")


def test_duplicates_are_found_before_cleaning_merges_them(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["h"]),
        helper.make_node("Relu", ["h"], ["h2"]),
        helper.make_node("MatMul", ["h2", "second"], ["y"]),
    ]
    path = tmp_path / "twice.onnx"
    onnx.save(graph_of(nodes, {"first": normal(16, 16), "second": normal(16, 16)}, opset=17), path)
    inspection = inspect_model(load_model(path))
    assert [finding.kind for finding in inspection.findings] == ["duplicated-weights"]
    assert inspection.content.parameters == 256
    assert any("merged" in note for note in inspection.notes)


def test_weights_in_a_file_beside_the_model_are_looked_at(tmp_path: Path) -> None:
    weights = normal(64, 64)
    weights[:8] = 0
    proto = graph_of([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], {"w": weights}, shape=["n", 64], opset=17)
    onnx.save_model(proto, tmp_path / "model.onnx", save_as_external_data=True, location="data.bin", size_threshold=0)
    inspection = inspect_model(load_model(tmp_path / "model.onnx"))
    assert [finding.kind for finding in inspection.findings] == ["masked-structured"]
    assert inspection.content.zip_bytes == pytest.approx(len(zlib.compress(weights.tobytes(), 6)), rel=0.05)


def test_the_zipped_size_of_a_large_model_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.inspect.content._ZIP_BUDGET_BYTES", 2 << 20)
    weights = normal(1024, 1024)  # 4 MiB
    weights[np.random.default_rng(0).random(weights.shape) < 0.7] = 0
    proto = graph_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weights}, shape=["n", 1024])
    estimate, sampled = zipped_size(proto)
    assert sampled == pytest.approx(0.5, abs=0.01)
    assert estimate == pytest.approx(len(zlib.compress(weights.tobytes(), 6)), rel=0.01)


def test_worth_comes_from_the_target_and_otherwise_in_general() -> None:
    knowing = SimpleNamespace(name="knowing", compression_worth={"clustered": "nothing here"})
    silent = SimpleNamespace(name="silent")
    assert worth_of("clustered", [knowing]) == {"knowing": "nothing here"}
    general = worth_of("clustered", [])
    assert set(general) == {"any"}
    assert worth_of("factorized", [knowing]) == worth_of("factorized", [])
    assert worth_of("clustered", [knowing, silent]) == {"knowing": "nothing here", **general}


def test_an_operator_whose_arithmetic_is_not_counted_makes_the_sum_unknown(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Einsum", ["h", "h"], ["y"], equation="ij,kj->ik"),
    ]
    path = tmp_path / "einsum.onnx"
    onnx.save(graph_of(nodes, {"w": normal(16, 7)}, opset=17), path)
    content = inspect_model(load_model(path)).content
    assert content.macs is None
    assert "Einsum" in content.macs_reason


def test_weights_without_elements_are_none(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    nodes = [helper.make_node("MatMul", ["e", "none"], ["y"]), helper.make_node("Slice", ["x", "zero", "zero", "one"], ["e"])]
    stored = {
        "none": np.zeros((0, 4), np.float32), "zero": np.zeros(1, np.int64), "one": np.ones(1, np.int64),
    }  # fmt: skip
    onnx.save(graph_of(nodes[::-1], stored, opset=17), path)
    assert inspect_model(load_model(path)).findings == ()


def test_a_graph_without_weights(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    onnx.save(graph_of([helper.make_node("Relu", ["x"], ["y"])], {}, opset=17), path)
    inspection = inspect_model(load_model(path))
    assert inspection.findings == ()
    assert (inspection.content.parameters, inspection.content.macs, inspection.content.layers) == (0, 0, ())
    assert inspection.content.zip_sampled == 1.0
