"""Looking around a ``QuantizeLinear`` or ``DequantizeLinear``: what it quantizes, and for whom."""

from __future__ import annotations

import onnx

from .graph_view import MOVES, GraphView, attributes

PAIR = ("QuantizeLinear", "DequantizeLinear")
WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm")
_BIASED = ("Conv", "ConvTranspose", "Gemm")


def source(view: GraphView, node: onnx.NodeProto) -> str:
    """What is quantized, in front of the pair that ``node`` belongs to."""
    if node.op_type == "QuantizeLinear":
        return str(node.input[0])
    maker = view.makers.get(node.input[0])
    while maker is not None and maker.op_type in MOVES:
        maker = view.makers.get(maker.input[0])
    return str(maker.input[0]) if maker is not None and maker.op_type == "QuantizeLinear" else str(node.input[0])


def through_moves(view: GraphView, name: str) -> onnx.NodeProto | None:
    """What makes ``name``, behind operators that only move values and casts."""
    maker = view.makers.get(name)
    while maker is not None and maker.op_type in MOVES | {"Cast"}:
        maker = view.makers.get(maker.input[0])
    return maker


def is_dequantized(view: GraphView, name: str) -> bool:
    maker = through_moves(view, name)
    return maker is not None and maker.op_type == "DequantizeLinear"


def integer_of(view: GraphView, name: str) -> int | None:
    maker = through_moves(view, name)
    return None if maker is None else view.type_of(maker.input[0])


def weight_source(view: GraphView, name: str) -> str:
    maker = through_moves(view, name)
    return name if maker is None else source(view, maker)


def is_bias(view: GraphView, node: onnx.NodeProto) -> bool:
    return any(
        reader.op_type in _BIASED and len(reader.input) > 2 and reader.input[2] == node.output[0]
        for reader in view.readers[node.output[0]]
    )


def weight_pair(view: GraphView, name: str) -> tuple[onnx.NodeProto, list[int] | None] | None:
    """The DequantizeLinear of a stored weight, and the permutation behind it, if there is one."""
    maker, perm = view.makers.get(name), None
    if maker is not None and maker.op_type == "Cast":
        maker = view.makers.get(maker.input[0])
    if maker is not None and maker.op_type == "Transpose":
        shape = view.shape_of(maker.input[0])
        perm = attributes(maker).get("perm") or (None if shape is None else list(range(len(shape)))[::-1])
        maker = view.makers.get(maker.input[0])
        if perm is None:
            return None
    if maker is None or maker.op_type != "DequantizeLinear" or not view.is_constant(source(view, maker)):
        return None
    return maker, perm  # type: ignore[return-value]


def output_axis(node: onnx.NodeProto, rank: int) -> int:
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    return 0 if node.op_type == "Gemm" and attributes(node).get("transB") else rank - 1
