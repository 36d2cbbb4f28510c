"""Is the model quantized already, and by which signs."""

from __future__ import annotations

from collections import defaultdict

import onnx

from .graph import all_graphs, all_nodes

_QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})
_INTEGER_OPERATORS = frozenset({"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"})
_MICROSOFT = frozenset({
    "MatMulNBits", "MatMulBnb4", "MatMulFpQ4", "GatherBlockQuantized", "QAttention", "QGemm", "QMoE", "QOrderedMatMul",
    "QOrderedAttention", "QEmbedLayerNormalization", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulIntegerToFloat",
    "MatMulInteger16",
})  # fmt: skip
_WEIGHT_ONLY = frozenset({"MatMulNBits", "MatMulBnb4", "MatMulFpQ4", "GatherBlockQuantized"})
_INT8 = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


def quantized_by(proto: onnx.ModelProto) -> str | None:
    """What says that the model is quantized, or None: "Q/DQ", "QOperator", "weight-only operators" or "integer weights".

    "QOperator" are operators that compute in integers; "weight-only operators" are ONNX Runtime's own (``MatMulNBits`` and kin);
    "integer weights" is an int8 weight that is cast and multiplied by a stored scale.
    """
    found = {(node.domain, node.op_type) for node in all_nodes(proto)}
    names = {name for _, name in found}
    if any(name.startswith("QLinear") for name in names) or names & _INTEGER_OPERATORS:
        return "QOperator"
    if names & _QDQ:
        return "Q/DQ"
    microsoft = {name for domain, name in found if domain == "com.microsoft"} & _MICROSOFT
    if microsoft:
        return "weight-only operators" if microsoft <= _WEIGHT_ONLY else "QOperator"
    return "integer weights" if any(_casts_integer_weights(graph) for graph in all_graphs(proto)) else None


def has_qdq(graph: onnx.GraphProto) -> bool:
    """Whether the main graph has Q/DQ of its own: somebody has placed it with care, in training perhaps."""
    return any(node.op_type in _QDQ for node in graph.node)


def _casts_integer_weights(graph: onnx.GraphProto) -> bool:
    """int8 weight -> Cast -> (Sub of a zero point ->) Mul by a stored scale.

    The scale must be stored too: a uint8 mask that is cast and multiplied with an activation is no quantized weight.
    """
    integers = {tensor.name for tensor in graph.initializer if tensor.data_type in _INT8 and len(tensor.dims) >= 2}
    stored = {tensor.name for tensor in graph.initializer}
    consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        if node.op_type == "Constant":
            stored.update(node.output)
            if any(a.t.data_type in _INT8 and len(a.t.dims) >= 2 for a in node.attribute if a.name == "value"):
                integers.update(node.output)
        for name in node.input:
            consumers[name].append(node)

    def is_scaled(name: str) -> bool:
        for node in consumers[name]:
            others = [other for other in node.input if other != name]
            if node.op_type == "Mul" and any(other in stored for other in others):
                return True
            if node.op_type == "Sub" and is_scaled(node.output[0]):
                return True
        return False

    return any(
        is_scaled(node.output[0])
        for name in integers
        for node in consumers[name]
        if node.op_type == "Cast" and node.output
    )  # fmt: skip
