"""Calibration data of every kind for a model of one picture, and of text."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.data import open_calibration
from edgekit.errors import EdgekitError
from edgekit.types import TensorSpec

ONE = (TensorSpec("image", "float32", ("n", 3, 4, 4)),)
TWO = (TensorSpec("ids", "int64", ("n", "t")), TensorSpec("mask", "int64", ("n", "t")))
TOML = "schema = 1\nresize = [4, 4]\n"


def values(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


def npz(path: Path, n: int = 50) -> Path:
    np.savez(path, image=values(n, 3, 4, 4))
    return path


def pictures(folder: Path, n: int = 45) -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(n):
        pixels = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    (folder / "preprocess.toml").write_text(TOML)
    return folder


def feeds(n: int) -> list[dict[str, np.ndarray]]:
    return [{"image": row[None]} for row in values(n, 3, 4, 4)]


def failure(source: object, inputs=ONE, **options: object) -> EdgekitError:
    with pytest.raises(EdgekitError) as raised:
        open_calibration(source, inputs, **options)
    return raised.value
