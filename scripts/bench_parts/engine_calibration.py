"""Memory and time of calibration: onnxruntime's calibrators and edgekit's histograms, each in a process of its own, interleaved."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from edgekit.progress import Progress

from . import engine_models
from .engine_lines import FEW, MANY
from .engine_processes import watch
from .engine_records import MINMAX, OURS, PERCENTILE, CalibrationRun
from .results import ROOT

TIMEOUT_S = 1800.0
SHARE_OF_MEMORY = 0.6  # of what is free: no calibrator may take the machine down


def runs(scratch: Path, repeats: int, *, time: bool, memory: bool, progress: Progress) -> Iterator[CalibrationRun]:
    """At :data:`FEW` samples all three, ``repeats`` times in turns (once for memory alone); at :data:`MANY` those that can."""
    model = scratch / "resnet50.onnx"
    engine_models.resnet50(model)
    limit_bytes = int(SHARE_OF_MEMORY * available_bytes())
    turns = [(who, FEW) for _ in range(repeats if time else 1) for who in (OURS, MINMAX, PERCENTILE)]
    turns += [(OURS, MANY), (MINMAX, MANY)] if memory else []
    for who, samples in turns:
        progress.stage(f"-- calibration: {who}, {samples} samples")
        yield run(who, model, samples, limit_bytes)


def run(who: str, model: Path, samples: int, limit_bytes: int) -> CalibrationRun:
    """One calibration; what ends it is its result."""
    command = [sys.executable, "-m", "bench_parts.engine_calibration_run", who, model, str(samples)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    done = watch(command, timeout_s=TIMEOUT_S, limit_bytes=limit_bytes, environment=environment)
    if done.stopped:
        return CalibrationRun(who, samples, peak_bytes=done.peak_bytes, fails=done.stopped)
    try:
        said = json.loads(done.stdout.strip().rpartition("\n")[2])
    except ValueError:
        last = done.stderr.strip().rpartition("\n")[2]
        return CalibrationRun(who, samples, fails=f"the process ended with {done.returncode}: {last}"[:240])
    if "fails" in said:
        return CalibrationRun(who, samples, fails=said["fails"])
    return CalibrationRun(who, samples, said["wall_s"], said["peak_bytes"], said["tensors"])


def available_bytes() -> int:
    """What the system says can be had without swapping."""
    path = Path("/proc/meminfo")
    if path.exists():
        line = next(line for line in path.read_text().splitlines() if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
