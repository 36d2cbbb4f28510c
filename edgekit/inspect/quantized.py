"""A model that is quantized openly: Q/DQ pairs, integer operators, or stored integers that are scaled by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import onnx

from ..frontends.graph import all_nodes
from ..frontends.quantized import quantized_by
from .types import Finding
from .weights import SHOWN, Weight

_SIGNS = ("QLinear", "Quantize", "Dequantize", "Integer", "NBits")  # in the names of operators that quantize or compute in integers


def find_quantized(proto: onnx.ModelProto, weights: Sequence[Weight]) -> Finding | None:
    """Finding ``quantized``: how, with how many operators and which integer weights."""
    form = quantized_by(proto)
    if form is None:
        return None
    operators = Counter(node.op_type for node in all_nodes(proto) if any(sign in node.op_type for sign in _SIGNS))
    stored = sorted((w for w in weights if w.integer), key=lambda w: (-w.rows.size, w.name))
    return Finding(
        "quantized",
        f"already quantized ({form}): {len(stored)} of {len(weights)} weight tensors are stored as integers",
        {
            "form": form,
            "operators": dict(sorted(operators.items())),
            "tensors": len(stored),
            "largest": [{"tensor": w.name, "node": w.node, "stored": w.stored, "elements": w.rows.size} for w in stored[:SHOWN]],
        },
    )
