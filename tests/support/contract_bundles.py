"""Small bundles that packages are made of: with any contract, and with pictures as their input where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.preprocess import Preprocess
from edgekit.types import Artifact, Runner, TensorMap, TensorSpec, sha256_file

from .bundles import DEVICE, small_bundle
from .reports import full_report

PREPROCESS = Preprocess((8, 8), color="gray", crop="center", mean=(0.1307,), std=(0.3081,))


def picture_bundle(out: Path, work: Path, preprocess: Preprocess = PREPROCESS) -> Path:
    """The small classifier, whose input was made of pictures."""
    report = full_report()
    calibration = {**(report.calibration or {}), "preprocess": preprocess.to_json()}
    return small_bundle(out, work, report=replace(report, calibration=calibration))


def tensor(
    role: Any, name: str, shape: Sequence[int | str], dtype: str = "float32", *, stored: str | None = None, **more: Any
) -> TensorMap:
    """A tensor of a contract; ``stored``: its dtype in the artifact; ``more``: permutation, scale, zero_point."""
    original = TensorSpec(name, dtype, tuple(shape))
    axes = more.get("permutation") or range(len(shape))
    return TensorMap(role, original, TensorSpec(name, stored or dtype, tuple(shape[axis] for axis in axes)), **more)


def contract_bundle(out: Path, work: Path, io: Sequence[TensorMap], *, file: str = "model.onnx", options: Any = None) -> Path:
    """A bundle with any contract. The artifact is not a model: packaging only copies it."""
    work.mkdir(parents=True, exist_ok=True)
    (work / file).write_bytes(b"not a model")
    artifact = Artifact(files={file: sha256_file(work / file)}, entry=file, io=tuple(io))
    rng = np.random.default_rng(7)

    def made(role: str) -> dict[str, Any]:
        """One array a tensor; free axes have two entries."""
        specs = [t.original for t in io if t.role == role]
        shapes = [[size if isinstance(size, int) else 2 for size in spec.shape] for spec in specs]
        return {spec.name: rng.uniform(0, 100, shape).astype(spec.dtype) for spec, shape in zip(specs, shapes, strict=True)}

    runner = Runner((DEVICE,), "device", ("onnxruntime",), (file,), {"entry": file, "threads": 2, **(options or {})}, 1e-3)
    return small_bundle(
        out,
        work / "other",
        artifact=artifact,
        artifact_folder=work,
        runner=runner,
        golden_inputs=made("input"),
        golden_outputs=made("output"),
    )
