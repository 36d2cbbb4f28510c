"""Small graphs of constant weights, and what the inspection finds in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.inspect import Finding, find_compression


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def graph_of(
    nodes: Sequence[onnx.NodeProto], initializers: dict[str, np.ndarray], *, shape: Sequence[Any] = ("n", 16), opset: int = 21
) -> onnx.ModelProto:
    """A model from ``x`` to the last node's first output."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in initializers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def with_weights(*arrays: np.ndarray) -> onnx.ModelProto:
    """Each array as the weight of an operator of its own on ``x``: ``Conv`` from three dimensions on, else ``Gemm`` (transB)."""
    nodes, initializers = [], {}
    for index, array in enumerate(arrays):
        name = f"w{index}"
        initializers[name] = array
        initializers[f"b{index}"] = np.ones(len(array), np.float32)  # a bias, so that no two layers are a factorized pair
        operator, attributes = ("Conv", {}) if array.ndim > 2 else ("Gemm", {"transB": 1})
        nodes.append(helper.make_node(operator, ["x", name, f"b{index}"], [f"y{index}"], **attributes))
    return graph_of(nodes, initializers)


def kinds(proto: onnx.ModelProto) -> list[str]:
    return [finding.kind for finding in find_compression(proto)]


def finding(proto: onnx.ModelProto, kind: str) -> Finding:
    return next(found for found in find_compression(proto) if found.kind == kind)
