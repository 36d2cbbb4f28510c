"""What a Q/DQ graph quantizes: its convolutions, its products, and which inputs of its residual additions."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

CONVOLUTIONS, PRODUCTS = ("Conv", "ConvTranspose"), ("MatMul", "Gemm")
_MOVES = (
    "Reshape",
    "Transpose",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Cast",
    "Identity",
)  # what may stand between a pair and its reader


@dataclass(frozen=True)
class Coverage:
    """By the name of a node's first output. ``additions``: the tensors, before their pairs, that an addition of two activations
    reads quantized; only additions are in it of which no input is constant.
    """

    convolutions: frozenset[str]
    products: frozenset[str]
    additions: dict[str, frozenset[str]]


def coverage(proto: onnx.ModelProto) -> Coverage:
    """What of ``proto`` computes on values behind a pair of QuantizeLinear and DequantizeLinear."""
    made_by = {name: node for node in proto.graph.node for name in node.output}
    constants = {tensor.name for tensor in proto.graph.initializer}

    def source(name: str) -> str | None:
        """The tensor that was quantized, where ``name`` is read from behind a pair; None where it is not."""
        while True:
            node = made_by.get(name)
            if node is None:
                return None
            if node.op_type == "DequantizeLinear":
                before = made_by.get(node.input[0])
                return before.input[0] if before is not None and before.op_type == "QuantizeLinear" else node.input[0]
            if node.op_type not in _MOVES:
                return None
            name = node.input[0]

    def is_constant(name: str) -> bool:
        while name not in constants:
            node = made_by.get(name)
            if node is None or (node.op_type not in (*_MOVES, "QuantizeLinear", "DequantizeLinear")):
                return node is not None and node.op_type == "Constant"
            name = node.input[0]
        return True

    covered: dict[str, set[str]] = {"convolutions": set(), "products": set()}
    additions: dict[str, frozenset[str]] = {}
    for node in proto.graph.node:
        if node.op_type in (*CONVOLUTIONS, *PRODUCTS) and all(source(name) is not None for name in node.input[:2]):
            covered["convolutions" if node.op_type in CONVOLUTIONS else "products"].add(node.output[0])
        elif node.op_type == "Add" and not any(is_constant(name) for name in node.input):
            read = (source(name) for name in node.input)
            additions[node.output[0]] = frozenset(name for name in read if name is not None)
    return Coverage(frozenset(covered["convolutions"]), frozenset(covered["products"]), additions)
