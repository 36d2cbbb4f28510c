"""NVIDIA's Model Optimizer on one model: runs in the toolchain ``modelopt``, imports nothing of edgekit's.

    jetson_modelopt_run.py MODEL CALIBRATION OUT METHOD PRECISION

MODEL and OUT are .onnx files of the working directory; CALIBRATION is an .npz with members ``number/input``, one feed a number.
METHOD is ``entropy`` (its default) or ``max``; PRECISION is that of what stays float, ``fp32`` or ``fp16`` (its default).
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any


class _LeftOut(types.ModuleType):
    """A package that modelopt's modules import and int8 does not use: whatever touches it ends with this sentence."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"{self.__name__}.{name}: {self.__name__} is left out of this toolchain")


def main() -> None:
    model, calibration, out, method, precision = sys.argv[1:]
    # Its own pieces first: onnxruntime looks whether torch is there, and must not find what stands in for it.
    import numpy as np
    import onnxruntime.quantization as ort_quantization

    for name in ("torch", "cppimport"):
        sys.modules[name] = _LeftOut(name)
    from modelopt.onnx.quantization import quantize

    with np.load(calibration, allow_pickle=False) as archive:
        feeds: dict[int, dict[str, Any]] = {}
        for member in archive.files:
            number, _, name = member.partition("/")
            feeds.setdefault(int(number), {})[name] = archive[member]
    ordered = [feeds[number] for number in sorted(feeds)]

    class Reader(ort_quantization.CalibrationDataReader):  # type: ignore[misc]  # untyped in this environment
        """What modelopt's own provider offers, for feeds as they are: it would cut them along the batch axis."""

        def __init__(self) -> None:
            self.rewind()

        def get_next(self) -> Any:
            return next(self._left, None)

        def get_first(self) -> Any:
            return ordered[0]

        def rewind(self) -> None:
            self._left = iter(ordered)

    quantize(
        str(Path(model).absolute()),
        quantize_mode="int8",
        calibration_data_reader=Reader(),
        calibration_method=method,
        calibration_eps=["cpu"],
        high_precision_dtype=precision,
        output_path=str(Path(out).absolute()),
        log_level="WARNING",
    )


if __name__ == "__main__":
    main()
