"""Small random float graphs, their ranges by minimum and maximum, and what a quantized model makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.quantize.types import Placement, Range

#: Every type that has an integer kernel somewhere, and no kernel's habits besides.
PLAIN = Placement("plain", {"Conv": 0, "MatMul": 1, "Gemm": 1})


def graph(nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, Any], outputs: Sequence[str], **weights: Any) -> onnx.ModelProto:
    """A model of float32 ``inputs`` ({name: shape}), with the shapes of everything in it."""
    made = helper.make_graph(
        list(nodes),
        "main",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def session(model: onnx.ModelProto, *, simulated: bool = False, optimized: str = "") -> Any:
    """``simulated``: Q/DQ is computed as it stands, so that no processor's integer kernel has a say."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if simulated:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if optimized:
        options.optimized_model_filepath = optimized
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, feed: Mapping[str, np.ndarray], *, simulated: bool = False) -> dict[str, np.ndarray]:
    opened = session(model, simulated=simulated)
    names = [value.name for value in opened.get_outputs()]
    return dict(zip(names, opened.run(names, dict(feed)), strict=True))


def ranges_of(model: onnx.ModelProto, feeds: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Range]:
    """Minimum and maximum of every tensor that is computed, and of the inputs."""
    exposed = copy(model)
    have = {value.name for value in (*exposed.graph.output, *exposed.graph.input)}
    tensors = [value.name for value in model.graph.input] + [name for one in model.graph.node for name in one.output]
    exposed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors if name not in have)
    values = [{**feed, **run(exposed, feed, simulated=True)} for feed in feeds]
    return {
        name: Range(min(0.0, *(float(value[name].min()) for value in values)), max(0.0, *(float(v[name].max()) for v in values)))
        for name in tensors
    }


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made


def sqnr_db(exact: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    signal = sum(float(np.square(array, dtype=np.float64).sum()) for array in exact)
    noise = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in zip(exact, got, strict=True))
    return float(10 * np.log10(max(signal, 1e-30) / noise)) if noise else float("inf")
