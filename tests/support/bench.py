"""The parts of scripts/bench, importable from here; and results to make documents of."""

from __future__ import annotations

import sys
from typing import Any

from support.requirements import ROOT

sys.path.append(str(ROOT / "scripts"))

from bench_parts import (
    contestants,
    engine,
    engine_calibration,
    engine_large,
    engine_lines,
    engine_models,
    engine_processes,
    engine_quality,
    engine_records,
    engine_tables,
    engine_verdicts,
    holding,
    jetson,
    jetson_graphs,
    jetson_lines,
    jetson_records,
    jetson_tables,
    lines,
    measuring,
    ranges_by_mse,
    records,
    results,
    stored,
    tables,
    task_list,
    tasks,
)

from edgekit.types import Ratio

__all__ = [
    "contestants", "engine", "engine_calibration", "engine_large", "engine_lines", "engine_models", "engine_processes",
    "engine_quality", "engine_records", "engine_tables", "engine_verdicts", "holding", "jetson", "jetson_graphs", "jetson_lines",
    "jetson_records", "jetson_tables", "lines", "measuring", "ranges_by_mse",
    "records", "results", "stored", "tables", "task_list", "tasks",
]  # fmt: skip

BAD = "agreement 0.800 is below 0.95"
TAKEN = records.Taken("0123abc", "A processor, 2 cores", ("avx512_vnni",), "2026-01-02", {"onnxruntime": "1.2"}, 300.0)


def quality(value: float = 0.97, agreement: float = 0.99, *, holds: bool = True, reason: str = "") -> records.Quality:
    return records.Quality(value, 500, (-0.004, 0.006), agreement, "predictions", holds, reason)


def row(name: str, speed: float | None, *targets: str, maker: Any = "edgekit", **fields: Any) -> records.Row:
    fields = {"evaluation": quality(), "third": quality(), "trust": "steady"} | fields
    ratio = None if speed is None else Ratio(speed, (speed - 0.05, speed + 0.05))
    return records.Row(name, maker, targets=targets, speedup=ratio, p50_s=None if speed is None else 0.01 / speed, **fields)


def deployed(target: str, winner: str, **fields: Any) -> records.Deployed:
    return records.Deployed(
        target, 12.0, winner=winner, **({"scheme": winner.partition("/")[2], "own_float": Ratio(1.5, (1.4, 1.6))} | fields)
    )


def result(task: str = "digits", **fields: Any) -> records.TaskResult:
    """onnx keeps float, openvino and auto choose the same int8."""
    defaults: dict[str, Any] = {
        "taken": TAKEN,
        "deploys": (
            deployed("onnx", "onnx/float32"),
            deployed("openvino", "openvino/int8~01234567"),
            deployed("auto", "openvino/int8~01234567"),
        ),
        "rows": (
            row("ONNX Runtime float32", 1.0, "onnx", maker="reference"),
            row("edgekit openvino/int8~01234567", 3.5, "openvino", "auto"),
            row(
                "NNCF default int8",
                4.0,
                maker="peer",
                third=quality(0.85, 0.8, holds=False, reason=BAD),
            ),
        ),
        "best_single": "edgekit openvino/int8~01234567",
        "auto_against_best": Ratio(1.0, (1.0, 1.0)),
    }
    return records.TaskResult(task, "accuracy", **(defaults | fields))
