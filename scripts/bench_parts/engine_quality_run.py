"""``onnxruntime.quantization`` with one of its range methods on given operators. A program of its own, like :mod:`.peer_recipes`:

    python -m bench_parts.engine_quality_run RECIPE MODEL CALIBRATION OUT

``NODES`` beside the model says which operators, and whether weights have seven bits.
"""

from __future__ import annotations

import json
from pathlib import Path

from .peer_recipes import Feed, Made, feeds, main

NODES = "nodes.json"
OPERATORS = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Relu", "Clip")


def onnxruntime_minmax(model: Path, calibration: Path, out: Path) -> Made:
    return _quantize("MinMax", model, calibration, out)


def onnxruntime_percentile(model: Path, calibration: Path, out: Path) -> Made:
    return _quantize("Percentile", model, calibration, out)


def onnxruntime_entropy(model: Path, calibration: Path, out: Path) -> Made:
    return _quantize("Entropy", model, calibration, out)


def _quantize(method: str, model: Path, calibration: Path, out: Path) -> Made:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
        def __init__(self) -> None:
            self._feeds = feeds(calibration)

        def get_next(self) -> Feed | None:
            return next(self._feeds, None)

    asked = json.loads(model.with_name(NODES).read_text())
    quantize_static(
        model,
        out / "model.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(OPERATORS),
        nodes_to_quantize=asked["nodes"],
        per_channel=True,
        reduce_range=asked["seven_bits"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod[method],
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    return {"entry": "model.onnx"}


RECIPES = {function.__name__: function for function in (onnxruntime_minmax, onnxruntime_percentile, onnxruntime_entropy)}

if __name__ == "__main__":
    main(RECIPES)
