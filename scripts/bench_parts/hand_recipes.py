"""What a search by hand ended with, one recipe a task and runtime. Runs as a program of its own, like :mod:`.peer_recipes`:

    python -m bench_parts.hand_recipes RECIPE MODEL CALIBRATION OUT

ONNX Runtime: int8 on convolutions and products alone, uint8 activations with ranges that lose least in the mean square, int8
weights a channel; depthwise convolutions and the :data:`SPARED` operators that alone do most damage stay float. OpenVINO: NNCF with
the preset, the range estimator and the operators in float that were found to hold. Nothing of edgekit takes part.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .peer_recipes import Made, feeds, ir_files, main, onnx_file, openvino_package, prepared
from .ranges_by_mse import ranges_by_mse

OPSET = 17
SPARED = 4
FEEDS_FOR_DAMAGE = 4
FIRST_CONVOLUTIONS = 4


# ---------------------------------------------------------------- onnxruntime.quantization
def onnxruntime_mse(model: Path, calibration: Path, out: Path) -> Made:
    """Convolutions and products, less the depthwise and the few most sensitive ones."""
    import onnx

    source = prepared(_raised(model, out), out)
    proto = onnx.load(source)
    chosen = [node.name for node in proto.graph.node if _is_quantized(node, proto)]
    data = list(feeds(calibration))
    ranges = ranges_by_mse(proto, chosen, data)
    damage = {name: _damage(source, [name], ranges, data[:FEEDS_FOR_DAMAGE], out) for name in chosen}
    spared = sorted(chosen, key=lambda name: -damage[name])[:SPARED]
    _quantize(source, [name for name in chosen if name not in spared], ranges, out / "model.onnx")
    for scratch in ("raised.onnx", "single.onnx"):
        (out / scratch).unlink(missing_ok=True)
    return onnx_file(out)


def onnxruntime_dynamic_per_channel(model: Path, _: Path, out: Path) -> Made:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(model, out / "model.onnx", weight_type=QuantType.QInt8, per_channel=True, reduce_range=sums_overflow())
    return onnx_file(out)


def sums_overflow() -> bool:
    """x86 without VNNI adds products of bytes in 16 bits: the tool's documentation asks for seven-bit weights there."""
    path = Path("/proc/cpuinfo")
    return path.exists() and "flags" in (text := path.read_text()) and "vnni" not in text


def _raised(model: Path, out: Path) -> Path:
    """Weights from ``Constant`` nodes as initializers, and a current opset: one scale a channel needs 13."""
    import onnx

    proto = onnx.load(model)
    for node in [node for node in proto.graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]:
        tensor = proto.graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        proto.graph.node.remove(node)
    if next(entry.version for entry in proto.opset_import if not entry.domain) < OPSET:
        proto = onnx.version_converter.convert_version(proto, OPSET)
    for index, node in enumerate(proto.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    onnx.save(proto, out / "raised.onnx")
    return out / "raised.onnx"


def _is_quantized(node: Any, proto: Any) -> bool:
    weights = {tensor.name: tensor for tensor in proto.graph.initializer}
    if node.op_type not in ("Conv", "MatMul") or node.input[1] not in weights:
        return False
    return node.op_type == "MatMul" or int(weights[node.input[1]].dims[1]) > 1


def _quantize(source: Path, names: Sequence[str], ranges: dict[str, tuple[float, float]], path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    found = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        load_model_with_shape_infer(source),
        per_channel=True,
        reduce_range=sums_overflow(),
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, found),
        nodes_to_quantize=list(names),
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv", "MatMul"],
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    quantizer.quantize_model()
    quantizer.model.save_model_to_file(str(path))


def _damage(
    source: Path, names: Sequence[str], ranges: dict[str, tuple[float, float]], data: Sequence[dict[str, Any]], out: Path
) -> float:
    """Error energy at the outputs, relative to float's, with these operators alone in int8."""
    import onnxruntime

    path = out / "single.onnx"
    _quantize(source, names, ranges, path)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    exact, rounded = (onnxruntime.InferenceSession(str(file), settings) for file in (source, path))
    noise = signal = 0.0
    for feed in data:
        for a, b in zip(exact.run(None, feed), rounded.run(None, feed), strict=True):
            noise += float(np.square(a - b, dtype=np.float64).sum())
            signal += float(np.square(a, dtype=np.float64).sum())
    return noise / signal if signal else 0.0


# ---------------------------------------------------------------- NNCF
def nncf_mixed(model: Path, calibration: Path, out: Path) -> Made:
    return _nncf(model, calibration, out)


def nncf_mixed_no_outliers(model: Path, calibration: Path, out: Path) -> Made:
    """The first convolutions stay float: they do most of the damage in a text detector."""
    return _nncf(model, calibration, out, FIRST_CONVOLUTIONS, "MEAN_NO_OUTLIERS_MINMAX")


def _nncf(model: Path, calibration: Path, out: Path, in_float: int = 0, estimator: str = "") -> Made:
    """Preset MIXED, the accurate bias correction."""
    ov = openvino_package()
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    converted = ov.convert_model(model)
    convolutions = [op.get_friendly_name() for op in converted.get_ordered_ops() if "Convolution" in op.get_type_name()]
    advanced = None
    if estimator:
        parameters = getattr(RangeEstimatorParametersSet, estimator)
        advanced = nncf.AdvancedQuantizationParameters(activations_range_estimator_params=parameters)
    quantized = nncf.quantize(
        converted,
        nncf.Dataset(list(feeds(calibration))),
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(names=convolutions[:in_float]) if in_float else None,
        advanced_parameters=advanced,
    )
    return ir_files(ov, quantized, out)


def nncf_transformer(model: Path, calibration: Path, out: Path) -> Made:
    ov = openvino_package()
    import nncf

    data = nncf.Dataset(list(feeds(calibration)))
    return ir_files(ov, nncf.quantize(ov.convert_model(model), data, model_type=nncf.ModelType.TRANSFORMER), out)


RECIPES = {
    function.__name__: function
    for function in (onnxruntime_mse, onnxruntime_dynamic_per_channel, nncf_mixed, nncf_mixed_no_outliers, nncf_transformer)
}

if __name__ == "__main__":
    main(RECIPES)
