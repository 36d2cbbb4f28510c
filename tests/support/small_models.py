"""Models that are made in milliseconds and calibration data that fit them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def classifier(path: Path, *, classes: int = 4, hidden: int = 64, opset: int = 17) -> Path:
    """``x`` float32 [1, 1, 8, 8] -> conv -> relu -> gemm -> ``logits`` [1, classes]."""
    rng = np.random.default_rng(0)
    weights = {
        "conv_w": rng.normal(0, 0.3, (hidden, 1, 3, 3)).astype(np.float32),
        "conv_b": rng.normal(0, 0.1, hidden).astype(np.float32),
        "head_w": rng.normal(0, 0.1, (classes, hidden * 36)).astype(np.float32),
        "head_b": np.zeros(classes, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv_w", "conv_b"], ["conv"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Flatten", ["relu"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "head_w", "head_b"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 1, 8, 8)).astype(np.float32)


def calibration(path: Path, *, n: int = 60, seed: int = 1) -> Path:
    np.savez(path, x=images(n, seed))
    return path


def labelled(path: Path, *, n: int = 80, seed: int = 2) -> Path:
    """Evaluation data with labels that the float model gives: its accuracy is 1."""
    import onnxruntime

    model = path.with_name("labelling.onnx")
    classifier(model)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    x = images(n, seed)
    labels = np.array([int(session.run(None, {"x": sample[None]})[0].argmax()) for sample in x])
    np.savez(path, x=x, labels=labels)
    model.unlink()
    return path
