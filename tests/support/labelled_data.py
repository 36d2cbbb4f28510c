"""Labelled data for a classifier of three numbers that are its own scores; every fourth label is wrong."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import EdgekitError
from edgekit.evaluation import open_evaluation
from edgekit.types import TensorSpec

INPUTS = (TensorSpec("x", "float32", ("n", 3)),)
OUTPUTS = (TensorSpec("scores", "float32", ("n", 3)), TensorSpec("other", "float32", ("n",)))
X = np.random.default_rng(1).standard_normal((12, 3)).astype(np.float32)
TRUTH = X.argmax(1)
LABELS = np.where(np.arange(12) % 4 == 3, (TRUTH + 1) % 3, TRUTH)  # every fourth is wrong
SLICES = np.array(["day"] * 8 + ["night"] * 4)


def predict(feed):
    return {"other": np.zeros(1, np.float32), "scores": feed["x"]}


def npz(path: Path, **members: np.ndarray) -> Path:
    np.savez(path, **({"x": X, "labels": LABELS} | members))
    return path


def folder_of_npy(folder: Path, table: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    for index, row in enumerate(X):
        np.save(folder / f"{index:02}.npy", row[None])
    if table is None:
        table = "file,label,slice\n" + "".join(f"{index:02}.npy,{LABELS[index]},{SLICES[index]}\n" for index in range(12))
    (folder / "labels.csv").write_text(table)
    return folder


def failure(source: object, metric: str | None = "accuracy", **options: object) -> EdgekitError:
    with pytest.raises(EdgekitError) as raised:
        open_evaluation(source, INPUTS, OUTPUTS, metric=metric, **options)
    return raised.value
