"""Products with constant weights as ``Gemm``: it becomes FULLY_CONNECTED, which quantizers and kernels of TFLite are made for.

A ``MatMul`` of more than two dimensions would become BATCH_MATMUL, whose static int8 with a scale a channel is silently wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgekit.types import Array, NodeId

if TYPE_CHECKING:
    import onnx


def products_as_gemm(proto: onnx.ModelProto, values: Mapping[str, Array]) -> dict[NodeId, NodeId]:
    """Rewrite ``proto``, whose shapes are fixed; a bias that follows a product joins it.

    Args:
        values: of every tensor, for one feed.

    Returns:
        {NodeId of a product whose own value is no longer made: NodeId of the sum that it is part of}.
    """
    graph = proto.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    taken = {name for node in graph.node for name in node.output} | {value.name for value in graph.input} | set(constants)
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    user = {name: node for node in graph.node for name in node.input}
    nodes: list[onnx.NodeProto] = []
    part_of: dict[NodeId, NodeId] = {}
    for node in graph.node:
        if node.op_type == "Add" and node.output[0] in part_of.values():
            continue
        weights = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or weights.data_type != weights.FLOAT or len(weights.dims) != 2:
            nodes.append(node)
            continue
        result, bias = node.output[0], None
        following = user.get(result)
        if uses[result] == 1 and following is not None and following.op_type == "Add":
            bias = next(
                (name for name in following.input if name != result and _is_bias(constants.get(name), weights.dims[1])), None
            )
        if bias is not None and following is not None:
            part_of[result] = following.output[0]
            result = following.output[0]
        nodes += _as_gemm(graph, node, bias, result, values, taken)
    del graph.node[:]
    graph.node.extend(nodes)
    return part_of


def _is_bias(tensor: onnx.TensorProto | None, size: int) -> bool:
    return tensor is not None and list(tensor.dims) == [size]


def _as_gemm(
    graph: onnx.GraphProto, node: onnx.NodeProto, bias: str | None, result: str, values: Mapping[str, Array], taken: set[str]
) -> list[onnx.NodeProto]:
    """The nodes that compute ``result``, which keeps its name: rows, product, and the shape it had."""
    from onnx import TensorProto, helper, numpy_helper

    shape = values[result].shape
    columns = shape[-1]
    n_rows = int(np.prod(shape[:-1], dtype=np.int64))
    inputs = [node.input[0], node.input[1], *([bias] if bias else [])]
    if len(shape) == 2:
        return [helper.make_node("Gemm", inputs, [result])]
    rows, product, flat, back = (_new(f"{result}{end}", taken) for end in ("_rows", "_product", "_rows_shape", "_shape"))
    depth = next(tensor.dims[0] for tensor in graph.initializer if tensor.name == node.input[1])
    graph.initializer.append(numpy_helper.from_array(np.array([n_rows, depth], np.int64), flat))
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), back))
    graph.value_info.append(helper.make_tensor_value_info(rows, TensorProto.FLOAT, [n_rows, depth]))
    graph.value_info.append(helper.make_tensor_value_info(product, TensorProto.FLOAT, [n_rows, columns]))
    return [
        helper.make_node("Reshape", [node.input[0], flat], [rows]),
        helper.make_node("Gemm", [rows, *inputs[1:]], [product]),
        helper.make_node("Reshape", [product, back], [result]),
    ]


def _new(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
