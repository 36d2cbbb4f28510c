"""What candidates depend on in a model: counts, read once a model."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.errors import ModelError

if TYPE_CHECKING:
    from edgekit.model import Model


#: Operators that have an integer form with activations quantized at run time, and with calibrated activations.
DYNAMIC_OPERATORS = ("Conv", "MatMul", "Gemm", "LSTM")
STATIC_OPERATORS = ("Conv", "MatMul", "Gemm")


@dataclass(frozen=True)
class Content:
    """What could be quantized in the main graph.

    ``operators``: nodes with constant float32 weights, by type. ``large_weights``: how many weights (those of ``Gather`` tables
    included) are large enough to be worth storing in int8. ``large_products``: products whose matrix is worth storing in blocks.
    ``cannot_be_raised``: why the model cannot be brought to a current opset; then nothing else is known.
    """

    operators: Counter[str] = field(default_factory=Counter)
    large_weights: int = 0
    large_products: int = 0
    cannot_be_raised: str = ""


@functools.lru_cache(maxsize=8)  # ``candidates`` and ``reject`` ask several times a run
def content_of(model: Model) -> Content:
    """The content of ``model``."""
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize.graphs import float_initializers, nodes_with_weights

    from .block_weights import large_products
    from .weight_only import embedding_tables, has_large_weight

    try:
        graph = onnx_frontend.read_raised(model).graph
    except ModelError as problem:
        return Content(cannot_be_raised=str(problem))
    nodes, constants = nodes_with_weights(graph), float_initializers(graph)
    large = sum(has_large_weight(node, constants) for node in nodes) + len(embedding_tables(graph))
    return Content(Counter(node.op_type for node in nodes), large, len(large_products(graph)))
