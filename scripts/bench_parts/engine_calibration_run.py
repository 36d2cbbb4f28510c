"""One calibration, as a program of its own, so that its memory is its own:

    python -m bench_parts.engine_calibration_run WHO MODEL SAMPLES

``WHO``: one of :data:`RECIPES`. The feeds are made as they are read. The last line on stdout is JSON: seconds from the model's file
to the ranges (imports are left out), the peak of the resident set, how many tensors got a range; or ``{"fails": reason}``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .engine_models import PICTURE, feeds
from .engine_processes import own_peak_bytes

OPERATORS = ("Conv", "Gemm", "MatMul")


def main() -> None:
    who, model, samples = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    try:
        wall_s, tensors = RECIPES[who](model, feeds("x", PICTURE, samples), samples)
    except Exception as problem:
        print(json.dumps({"fails": f"{type(problem).__name__}: {problem}"[:240]}))
        raise
    print(json.dumps({"wall_s": wall_s, "tensors": tensors, "peak_bytes": own_peak_bytes()}))


# ---------------------------------------------------------------- onnxruntime.quantization
def onnxruntime_minmax(model: Path, data: Iterator[dict[str, Any]], _: int) -> tuple[float, int]:
    return _onnxruntime("MinMax", model, data)


def onnxruntime_percentile(model: Path, data: Iterator[dict[str, Any]], _: int) -> tuple[float, int]:
    return _onnxruntime("Percentile", model, data)


def _onnxruntime(method: str, model: Path, data: Iterator[dict[str, Any]]) -> tuple[float, int]:
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
        def get_next(self) -> dict[str, Any] | None:
            return next(data, None)

    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        calibrator = create_calibrator(
            model,
            op_types_to_calibrate=list(OPERATORS),
            augmented_model_path=f"{scratch}/augmented.onnx",
            calibrate_method=CalibrationMethod[method],
        )
        calibrator.collect_data(Reader())
        ranges = calibrator.compute_data()
        return time.perf_counter() - started, len(ranges.data)


# ---------------------------------------------------------------- edgekit
def edgekit_histograms(model: Path, data: Iterator[dict[str, Any]], samples: int) -> tuple[float, int]:
    """Histograms of every tensor that the onnx target's plan reads, and the ranges by the usual method (mean squared error)."""
    import onnx

    from edgekit.quantize.calibration import collect
    from edgekit.quantize.placement import calibrated_tensors
    from edgekit.quantize.ranges import activation_range

    started = time.perf_counter()
    tensors = calibrated_tensors(onnx.load(model).graph)
    found = collect(lambda: onnx.load(model), tensors, Again(data, samples))
    for statistics in found.tensors.values():
        activation_range(statistics, "mse", dtype="uint8", symmetric=False)
    return time.perf_counter() - started, len(found.tensors)


class Again:
    """The feeds as often as they are asked for, without keeping one."""

    def __init__(self, data: Iterator[dict[str, Any]], n: int) -> None:
        self._first: Iterator[dict[str, Any]] | None = data
        self._n = n

    def __iter__(self) -> Iterator[dict[str, Any]]:
        data, self._first = self._first or feeds("x", PICTURE, self._n), None
        return data

    def __len__(self) -> int:
        return self._n


RECIPES = {function.__name__: function for function in (onnxruntime_minmax, onnxruntime_percentile, edgekit_histograms)}

if __name__ == "__main__":
    main()
