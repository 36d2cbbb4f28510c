"""Small ONNX models written out by hand, and what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT = onnx.TensorProto.FLOAT
node = helper.make_node
value = helper.make_tensor_value_info


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    ir: int = 8,
    domains: Mapping[str, int] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, stored)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(*domain) for domain in (domains or {}).items())]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir, functions=functions)


def linear(*, opset: int = 17, ir: int = 8, size: int = 16, seed: int = 0) -> onnx.ModelProto:
    """``x`` [n, size] -> matmul -> add -> relu -> ``y`` [n, size]; weights ``w`` and ``b``."""
    random = np.random.default_rng(seed)
    return model(
        [
            node("MatMul", ["x", "w"], ["xw"], "first"),
            node("Add", ["xw", "b"], ["sum"], "second"),
            node("Relu", ["sum"], ["y"], "third"),
        ],
        [value("x", FLOAT, ["n", size])],
        [value("y", FLOAT, ["n", size])],
        {"w": random.normal(size=(size, size)).astype(np.float32), "b": random.normal(size=size).astype(np.float32)},
        opset=opset,
        ir=ir,
    )


def write(proto: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def with_external(proto: onnx.ModelProto, path: Path, *, data: str = "weights.bin") -> Path:
    """Write ``proto`` with every initializer in the file ``data`` beside it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    target = path.parent / data
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as stream:
        for tensor in copy.graph.initializer:
            raw = tensor.raw_data
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, entry in (("location", data), ("offset", stream.tell()), ("length", len(raw))):
                tensor.external_data.add(key=key, value=str(entry))
            stream.write(raw)
    return write(copy, path)


def run(proto: onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


def feed_for(proto: onnx.ModelProto, *, free: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal values for float inputs, 0 and 1 for others; free dimensions get the size ``free``."""
    random = np.random.default_rng(seed)
    stored = {tensor.name for tensor in proto.graph.initializer}
    feed = {}
    for entry in proto.graph.input:
        if entry.name in stored:
            continue
        dtype = helper.tensor_dtype_to_np_dtype(entry.type.tensor_type.elem_type)
        shape = [dim.dim_value if dim.dim_value > 0 else free for dim in entry.type.tensor_type.shape.dim]
        values = random.normal(size=shape) if dtype.kind == "f" else random.integers(0, 2, shape)
        feed[entry.name] = np.asarray(values).astype(dtype)
    return feed


def assert_same_answers(before: onnx.ModelProto, after: onnx.ModelProto, *, free: int = 2) -> None:
    feed = feed_for(before, free=free)
    expected, found = run(before, feed), run(after, feed)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
