"""Models that are large: thousands of operators, hundreds of megabytes of external weights. Deployed as a user would."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit.progress import Progress

from . import engine_models
from .engine_lines import LARGE_S
from .engine_processes import watch
from .engine_records import LargeResult, Stamp

CALIBRATION_FEEDS = 100
MORE_S = 600.0  # beyond what is promised, so that a miss has a number


@dataclass(frozen=True)
class Large:
    """``write`` takes the path and returns nothing of interest; ``shape``: of the input ``x``."""

    name: str
    write: Callable[[Path], int]
    shape: tuple[int, ...]


MODELS = (
    Large("3,000 operators", engine_models.many_operators, engine_models.MANY_INPUT),
    Large("500 MB of external weights", engine_models.external_weights, engine_models.WIDE_INPUT),
)


def runs(stamp: Stamp, budget_s: float, scratch: Path, progress: Progress) -> Iterator[LargeResult]:
    for index, large in enumerate(MODELS):
        progress.stage(f"-- large: {large.name}")
        folder = scratch / f"large-{index}"
        folder.mkdir()
        yield run(large, stamp, budget_s, folder)


def run(large: Large, stamp: Stamp, budget_s: float, folder: Path) -> LargeResult:
    """One deploy by the command line; what it refuses with is its result."""
    import onnx

    model, calibration = folder / "model.onnx", folder / "calibration.npz"
    large.write(model)
    feeds = engine_models.feeds("x", large.shape, CALIBRATION_FEEDS)
    np.savez(calibration, x=np.concatenate([feed["x"] for feed in feeds]))
    empty = LargeResult(
        name=large.name,
        stamp=stamp,
        operators=len(onnx.load(model, load_external_data=False).graph.node),
        size_bytes=sum(path.stat().st_size for path in folder.glob("model.onnx*")),
        budget_s=budget_s,
    )
    options = ["--target", "onnx", "--calib", calibration, "--budget", f"{budget_s:g}s", "--json", "-o", folder / "bundle"]
    done = watch([sys.executable, "-m", "edgekit", "deploy", model, *options], timeout_s=LARGE_S + MORE_S, environment=os.environ)
    taken = replace(empty, wall_s=done.wall_s, peak_bytes=done.peak_bytes)
    if done.stopped or done.returncode != 0:
        last = done.stderr.strip().rpartition("\n")[2]
        return replace(taken, fails=(done.stopped or f"edgekit ended with {done.returncode}: {last}")[:240])
    report = json.loads(done.stdout)
    return replace(
        taken,
        winner=report["winner"]["id"],
        measured=sum(row["latency_s"] is not None for row in report["candidates"]),
        sparing_steps=len(report.get("trail", ())),
    )
