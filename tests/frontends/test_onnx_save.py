from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.onnx_graphs import FLOAT, linear, model, node, value

from edgekit.errors import OutputError
from edgekit.frontends import onnx_save
from edgekit.frontends.onnx_frontend import save
from edgekit.model import load_model


def test_one_file(tmp_path: Path) -> None:
    proto = linear()
    assert save(proto, tmp_path / "new" / "m.onnx") == [tmp_path / "new" / "m.onnx"]
    assert onnx.load(tmp_path / "new" / "m.onnx") == proto


def test_weights_beside_the_model(tmp_path: Path) -> None:
    proto = linear(size=64)
    before = proto.SerializeToString()
    files = save(proto, tmp_path / "m.onnx", external_over_bytes=0)
    assert files == [tmp_path / "m.onnx", tmp_path / "m.onnx.data"]
    assert sorted(tmp_path.iterdir()) == files
    assert proto.SerializeToString() == before
    assert files[0].stat().st_size < 2000
    assert load_model(files[0]).size_bytes == sum(file.stat().st_size for file in files)
    onnx.checker.check_model(str(files[0]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 80), st.integers(1, 80)), min_size=1, max_size=5), st.sampled_from([0, 10_000, 1 << 30]))
def test_round_trip(tmp_path: Path, shapes: list[tuple[int, int]], limit: int) -> None:
    weights = {f"w{i}": np.random.default_rng(i).normal(size=shape).astype(np.float32) for i, shape in enumerate(shapes)}
    nodes = [node("ReduceSum", [name], [f"{name}_sum"], keepdims=0) for name in weights]
    nodes.append(node("Sum", ["x", *(f"{name}_sum" for name in weights)], ["y"]))
    proto = model(nodes, [value("x", FLOAT, [1])], [value("y", FLOAT, [1])], weights)
    save(proto, tmp_path / "m.onnx", external_over_bytes=limit)
    loaded = onnx.load(tmp_path / "m.onnx")
    found = {tensor.name: onnx.numpy_helper.to_array(tensor).tobytes() for tensor in loaded.graph.initializer}
    assert found == {name: array.tobytes() for name, array in weights.items()}
    load_model(tmp_path / "m.onnx")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: onnx.TensorProto) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_save, "content", full)
    with pytest.raises(OutputError, match="no space left"):
        save(linear(size=64), tmp_path / "m.onnx", external_over_bytes=0)
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for limit in (0, 1 << 30):
        with pytest.raises(OutputError, match="cannot write"):
            save(linear(size=64), tmp_path / "file" / "m.onnx", external_over_bytes=limit)
