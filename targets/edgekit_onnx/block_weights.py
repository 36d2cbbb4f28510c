"""Weight-only in blocks: large matrices in 4 or 8 bits, a scale and a zero point a block of inputs, multiplied as they are stored.

``MatMulNBits`` is ONNX Runtime's own operator (its documentation of contributed operators has the layout): ``B`` uint8 [N, blocks,
bytes of a block], two 4-bit values a byte, the first in the low half; scales [N, blocks]; zero points packed alike. With
``accuracy_level`` 4 the runtime rounds each row of activations to int8 in blocks as well and multiplies integers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.quantize import graphs
from edgekit.quantize.weights import blockwise, two_a_byte

from .node_times import part_of

if TYPE_CHECKING:
    import onnx

    from edgekit.types import NodeId

OPERATORS = ("MatMul", "Gemm")
DEFAULT_BLOCK = 32
SMALLEST_MATRIX = 16_384  # elements; below, the time goes elsewhere
#: The first release of ONNX Runtime whose CPU kernels read this many bits.
SINCE = {4: (1, 17), 8: (1, 22)}


def large_products(graph: onnx.GraphProto, keep_float: Collection[NodeId] = ()) -> list[onnx.NodeProto]:
    """The products with a constant matrix that is large enough, in graph order.

    Raises:
        ModelError: ``keep_float`` names a node that is not there.
    """
    constants = graphs.float_initializers(graph)
    return [node for node in graphs.select(graph, OPERATORS, keep_float) if _suits(node, constants[node.input[1]])]


def _suits(node: onnx.NodeProto, weight: onnx.TensorProto) -> bool:
    if len(weight.dims) != 2 or math.prod(weight.dims) < SMALLEST_MATRIX:
        return False
    has_bias = len(node.input) > 2 and node.input[2]
    return not graphs.attribute(node, "transA", 0) and (not has_bias or graphs.attribute(node, "beta", 1.0) == 1.0)


def quantize_blocks(
    model: onnx.ModelProto, *, bits: int, block_size: int, accuracy_level: int = 0, keep_float: Collection[NodeId] = ()
) -> Counter[str]:
    """Store the large matrices of ``model`` in blocks, in place, and count the products by type.

    Args:
        bits: 4 or 8. ``block_size``: a power of two, at least 16.
        accuracy_level: 0 multiplies floats, 4 integers.

    Raises:
        ModelError: ``keep_float`` names a node that is not there.
    """
    chosen = {graphs.node_id(node) for node in large_products(model.graph, keep_float)}
    emitter = _Emitter(model.graph, bits, block_size, accuracy_level)
    done: Counter[str] = Counter()
    for node in model.graph.node:
        if graphs.node_id(node) in chosen:
            emitter.product(node)
            done[node.op_type] += 1
        else:
            emitter.nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(emitter.nodes)
    graphs.drop_unused(model.graph)
    if done:
        graphs.require_domain(model, "com.microsoft", 1)
    return done


class _Emitter:
    def __init__(self, graph: onnx.GraphProto, bits: int, block_size: int, accuracy_level: int) -> None:
        self.graph = graph
        self.bits, self.block_size, self.accuracy_level = bits, block_size, accuracy_level
        self.fresh = graphs.FreshNames(graph)
        self.constants = graphs.float_initializers(graph)
        self.stored: dict[tuple[str, bool, float], list[str]] = {}
        self.nodes: list[onnx.NodeProto] = []

    def product(self, node: onnx.NodeProto) -> None:
        from onnx import helper

        is_gemm = node.op_type == "Gemm"
        transposed = is_gemm and bool(graphs.attribute(node, "transB", 0))
        factor = graphs.attribute(node, "alpha", 1.0) if is_gemm else 1.0
        inputs, outputs = graphs.channels(node, self.constants[node.input[1]])
        bias = node.input[2] if len(node.input) > 2 else ""
        result = self.fresh(f"{node.output[0]}_product") if bias else node.output[0]
        attributes: dict[str, Any] = {"K": inputs, "N": outputs, "bits": self.bits, "block_size": self.block_size}
        if self.accuracy_level:
            attributes["accuracy_level"] = self.accuracy_level
        self.nodes.append(
            helper.make_node(
                "MatMulNBits",
                [node.input[0], *self.matrix(node.input[1], transposed=transposed, factor=factor)],
                [result],
                name=graphs.node_id(node),
                domain="com.microsoft",
                **attributes,
            )
        )
        if bias:
            name = self.fresh(part_of(graphs.node_id(node), "Add"))
            self.nodes.append(helper.make_node("Add", [result, bias], [node.output[0]], name=name))

    def matrix(self, name: str, *, transposed: bool, factor: float) -> list[str]:
        """The names of the stored matrix, its scales and its zero points; made once for all its readers."""
        from onnx import numpy_helper

        key = (name, transposed, factor)
        if key not in self.stored:
            weight = np.asarray(numpy_helper.to_array(self.constants[name]), np.float32)
            found = blockwise((weight.T if transposed else weight) * np.float32(factor), self.bits, self.block_size)
            stored, zero_point = found.stored, found.zero_point
            if self.bits == 4:
                stored, zero_point = two_a_byte(stored), two_a_byte(zero_point)
            self.stored[key] = [
                self.constant(f"{name}_blocks", stored),
                self.constant(f"{name}_scales", found.scale),
                self.constant(f"{name}_zero_points", zero_point),
            ]
        return self.stored[key]

    def constant(self, wanted: str, value: np.typing.NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        name = self.fresh(wanted)
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name
