"""What a bundle is measured with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.bundles import onnx_artifact, small_bundle

from edgekit import profiling
from edgekit.errors import UsageError
from edgekit.types import Feed, TensorMap, TensorSpec


class Timed(Exception):  # noqa: N818 - an end, not an error
    def __init__(self, feed: Feed) -> None:
        self.feed = feed


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its input has a free axis beside the batch; what would be timed is raised."""
    monkeypatch.setenv("EDGEKIT_LEASE_DIR", str(tmp_path))
    (tmp_path / "work").mkdir()
    artifact, _ = onnx_artifact(tmp_path / "work")
    x = TensorSpec("x", "float32", ("n", 1, "h", 8))
    artifact = replace(artifact, io=(TensorMap("input", x, x), *artifact.io[1:]))

    def measure(device: Any, meter: Any, built: Any, feed: Feed, *_: Any, **__: Any) -> None:
        raise Timed(feed)

    monkeypatch.setattr(profiling, "_measure", measure)
    return small_bundle(tmp_path / "bundle", tmp_path / "work", artifact=artifact)


@pytest.mark.parametrize(("shape", "timed"), [({}, (1, 1, 64, 8)), ({"x": (1, 1, 24, 8)}, (1, 1, 24, 8))])
def test_shape_sizes_a_bundle_s_free_axes(shape: dict[str, tuple[int, ...]], timed: tuple[int, ...], bundle: Path) -> None:
    with pytest.raises(Timed) as caught:
        profiling.profile(bundle, shape=shape)
    assert caught.value.feed["x"].shape == timed


@pytest.mark.parametrize("shape", [{"y": (1, 1, 24, 8)}, {"x": (1, 2, 24, 8)}, {"x": (1, 24)}])
def test_a_shape_that_does_not_fit_a_bundle_is_refused(shape: dict[str, tuple[int, ...]], bundle: Path) -> None:
    with pytest.raises(UsageError, match="--shape") as caught:
        profiling.profile(bundle, shape=shape)
    assert caught.value.hint == "leave --shape out"
