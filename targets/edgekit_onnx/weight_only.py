"""Weight-only int8: weights are stored in int8, one scale a channel, and turned back into floats before use.

What it buys is size: a quarter of the weights' bytes, at nearly float quality. ``DequantizeLinear`` on a constant is folded into a
float weight when the model is loaded (see ``runner`` in ``target.py``), so it runs at the speed of float.

Embedding tables (``Gather`` along axis 0) keep one scale a row and are dequantized after the rows are taken: the table is never
expanded.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.quantize import graphs, weights

if TYPE_CHECKING:
    import onnx

#: Weights smaller than this stay float: the scales and the extra node would eat up what is saved.
SMALLEST_WEIGHT = 1024

OPERATORS = ("Conv", "MatMul", "Gemm", "LSTM")


def quantize_weights(
    model: onnx.ModelProto, *, operators: Collection[str] = OPERATORS, keep_float: Collection[str] = ()
) -> Counter[str]:
    """Store the weights of ``operators`` and the embedding tables of ``model`` in int8, in place, and count their nodes by type.

    Raises:
        ModelError: ``keep_float`` names a node that is not there.
    """
    return _Emitter(model.graph).run(operators, keep_float)


def embedding_tables(graph: onnx.GraphProto, keep_float: Collection[str] = ()) -> set[str]:
    """Tables that nothing but such Gathers read. One that has other readers stays: storing both forms would be larger."""
    constants = graphs.float_initializers(graph)
    counts = graphs.consumed_names(graph)
    readers = Counter(node.input[0] for node in graph.node if _takes_rows(node) and graphs.node_id(node) not in keep_float)
    return {
        name
        for name, count in readers.items()
        if name in constants and counts[name] == count and len(constants[name].dims) == 2 and _large(constants[name])
    }


def _takes_rows(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gather" and not graphs.attribute(node, "axis", 0)


def _large(weight: onnx.TensorProto) -> bool:
    return len(weight.dims) >= 2 and math.prod(weight.dims) >= SMALLEST_WEIGHT


def has_large_weight(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    return all(_large(constants[node.input[position]]) for position in graphs.WEIGHT_INPUTS[node.op_type])


def _channel_axis(node: onnx.NodeProto, dimensions: int) -> int:
    """Where the outputs are: a convolution's filters, a product's columns, the gates of an LSTM's [directions, gates, inputs]."""
    if node.op_type == "LSTM":
        return 1
    if node.op_type == "Conv" or (node.op_type == "Gemm" and graphs.attribute(node, "transB", 0)):
        return 0
    return dimensions - 1


class _Emitter:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.fresh = graphs.FreshNames(graph)
        self.constants = graphs.float_initializers(graph)
        self.dequantized: dict[tuple[str, int], str] = {}
        self.tables: dict[str, tuple[str, str]] = {}
        self.first: list[onnx.NodeProto] = []  # dequantized weights, in front of everything that reads them
        self.nodes: list[onnx.NodeProto] = []

    def run(self, operators: Collection[str], keep_float: Collection[str]) -> Counter[str]:
        chosen = {graphs.node_id(node) for node in graphs.select(self.graph, operators, keep_float)}
        tables = embedding_tables(self.graph, keep_float)
        done: Counter[str] = Counter()
        for node in self.graph.node:
            if graphs.node_id(node) in chosen and has_large_weight(node, self.constants):
                for position in graphs.WEIGHT_INPUTS[node.op_type]:
                    node.input[position] = self.weight(node, node.input[position])
                self.nodes.append(node)
            elif _takes_rows(node) and node.input[0] in tables:
                self.rows(node)
            else:
                self.nodes.append(node)
                continue
            done[node.op_type] += 1
        del self.graph.node[:]
        self.graph.node.extend([*self.first, *self.nodes])
        graphs.drop_unused(self.graph)
        return done

    def weight(self, node: onnx.NodeProto, name: str) -> str:
        """The name of a weight as int8 that has been dequantized; one for all readers along the same axis."""
        axis = _channel_axis(node, len(self.constants[name].dims))
        if (name, axis) not in self.dequantized:
            quantized = weights.symmetric_int8(self.array(name), axis)
            inputs = [
                self.constant(f"{name}_quantized", quantized.stored),
                self.constant(f"{name}_scale", quantized.scale),
                self.constant(f"{name}_zero_point", quantized.zero_point),
            ]
            floats = self.fresh(f"{name}_dequantized")
            self.first.append(self.node("DequantizeLinear", inputs, floats, axis=axis))
            self.dequantized[name, axis] = floats
        return self.dequantized[name, axis]

    def rows(self, node: onnx.NodeProto) -> None:
        """Take the int8 rows and their scales, then multiply."""
        import onnx

        name, indices, output = node.input[0], node.input[1], node.output[0]
        if name not in self.tables:
            table = weights.symmetric_int8(self.array(name), axis=0)
            self.tables[name] = (
                self.constant(f"{name}_quantized", table.stored),
                self.constant(f"{name}_scale", table.scale.reshape(-1, 1)),
            )
        stored, scale = self.tables[name]
        taken, floats, scales = self.fresh(f"{output}_quantized"), self.fresh(f"{output}_float"), self.fresh(f"{output}_scale")
        self.nodes += [
            self.node("Gather", [stored, indices], taken, axis=0),
            self.node("Gather", [scale, indices], scales, axis=0),
            self.node("Cast", [taken], floats, to=int(onnx.TensorProto.FLOAT)),
            self.node("Mul", [floats, scales], output),
        ]

    def array(self, name: str) -> weights.Floats:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self.constants[name]), np.float32)

    def constant(self, wanted: str, value: np.typing.NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        name = self.fresh(wanted)
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        from onnx import helper

        return helper.make_node(operator, inputs, [output], name=self.fresh(f"{output}_{operator}"), **attributes)
