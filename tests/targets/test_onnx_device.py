from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from edgekit_onnx import device

from edgekit.testing.models import CASES


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {"model.onnx": str(CASES["conv"].write(tmp_path))}


def test_effective_says_what_is_in_force(files: dict[str, str]) -> None:
    session = device.Session(files, {"threads": 2, "graph_optimization": "basic", "allow_spinning": False})
    assert session.effective["threads"] == 2
    assert session.effective["graph_optimization"] == "basic"
    assert session.effective["allow_spinning"] is False
    assert session.effective["providers"] == ["CPUExecutionProvider"]
    assert session.effective["version"] == device.fingerprint()["version"]
    session.close()


@pytest.mark.parametrize(
    ("feed", "said"),
    [({}, "'image' is missing"), ({"image": np.zeros((1, 3, 15, 17))}, "must be float32, not float64")],
)
def test_a_feed_that_does_not_fit_is_named(files: dict[str, str], feed: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        device.Session(files, {}).run(feed)


def test_unknown_optimization_level_is_refused(files: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="all, basic, extended, none"):
        device.Session(files, {"graph_optimization": "most"})


def test_several_models_need_an_entry(files: dict[str, str], tmp_path: Path) -> None:
    both = {**files, "other.onnx": files["model.onnx"]}
    with pytest.raises(ValueError, match="entry"):
        device.Session(both, {})
    device.Session(both, {"entry": "other.onnx"}).close()


def test_weights_are_folded_only_when_asked(tmp_path: Path) -> None:
    """A constant that is dequantized becomes a float weight at load, so no DequantizeLinear runs at each inference."""
    from edgekit_onnx.weight_only import quantize_weights

    model = CASES["transformer"].build()
    quantize_weights(model)
    path = tmp_path / "w8.onnx"
    onnx.save(model, path)
    ran = {}
    for fold in (False, True):
        session = device.Session({"w8.onnx": str(path)}, {"layers": True, "fold_weights": fold})
        session.run(CASES["transformer"].feed(1, 0))
        ran[fold] = {row["op"] for row in session.layers()}
        session.close()
    assert "DequantizeLinear" not in ran[True]
    assert ran[False] != ran[True]


def test_layers_are_timed_on_request_and_leave_nothing(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    feed = CASES["conv"].feed(1, 0)
    plain = device.Session(files, {})
    plain.run(feed)
    assert plain.layers() is None
    timed = device.Session(files, {"layers": True})
    for _ in range(3):
        timed.run(feed)
    rows = timed.layers()
    assert rows is not None
    assert {row["n"] for row in rows} == {3}
    assert any("Conv" in row["op"] for row in rows)
    assert [row["time_s"] for row in rows] == sorted((row["time_s"] for row in rows), reverse=True)
    assert all(0 <= row["time_s"] < 1 for row in rows)
    assert timed.layers() is None
    device.Session(files, {"layers": True}).close()
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(Exception, match="PROTOBUF"):
        device.Session({"broken.onnx": str(broken)}, {"layers": True})
    assert not list(scratch.iterdir())
