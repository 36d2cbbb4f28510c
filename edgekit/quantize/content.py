"""What of a model could be quantized at all: operators with constant weights, counted once a model and before any conversion."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:
    import onnx

    from ..model import Model

CONVOLUTIONS, PRODUCTS = ("Conv", "ConvTranspose"), ("MatMul", "Gemm")
TABLE = "Gather"
#: Weights with fewer elements are not worth a format of their own.
SMALLEST_WEIGHT = 1024
#: Where the weights of an operator are among its inputs.
_WEIGHTS = {**dict.fromkeys((*CONVOLUTIONS, *PRODUCTS), 1), TABLE: 0}


@dataclass(frozen=True)
class Content:
    """Operators of the main graph with constant float32 weights, by ONNX type.

    ``operators``: all that compute with them. ``large``: those with at least ``SMALLEST_WEIGHT`` elements, tables for look-ups
    included. ``cannot_be_raised``: why the model cannot be brought to a current opset; then nothing else is known.
    """

    operators: Counter[str] = field(default_factory=Counter)
    large: Counter[str] = field(default_factory=Counter)
    cannot_be_raised: str = ""

    @property
    def n_convolutions(self) -> int:
        return sum(self.operators[name] for name in CONVOLUTIONS)

    @property
    def n_products(self) -> int:
        return sum(self.operators[name] for name in PRODUCTS)

    @property
    def n_large_products(self) -> int:
        return sum(self.large[name] for name in PRODUCTS)

    @property
    def is_mostly_products(self) -> bool:
        """More matrix products than convolutions: a transformer, as a rule."""
        return self.n_products > self.n_convolutions


def content_of(model: Model, *, tables: bool) -> Content:
    """The content of a model that is ONNX by now. ``tables``: whether the target can store those in fewer bits."""
    from ..frontends import onnx_frontend

    try:
        graph = onnx_frontend.read_raised(model).graph
    except ModelError as problem:
        return Content(cannot_be_raised=str(problem))
    return content_from((name, size) for name, size in _weights(graph) if tables or name != TABLE)


def content_from(weights: Iterable[tuple[str, int]]) -> Content:
    """The content of a model whose operators with weights are these: ONNX type and number of elements."""
    found = list(weights)
    return Content(
        Counter(name for name, _ in found if name != TABLE), Counter(name for name, size in found if size >= SMALLEST_WEIGHT)
    )


def _weights(graph: onnx.GraphProto) -> Iterable[tuple[str, int]]:
    from .graphs import float_initializers, is_standard  # not above: a target is imported without onnx

    constants = float_initializers(graph)
    for node in graph.node:
        position = _WEIGHTS.get(node.op_type) if is_standard(node) else None
        if position is None or position >= len(node.input) or node.input[position] not in constants:
            continue
        sizes = constants[node.input[position]].dims
        if len(sizes) >= 2:
            yield node.op_type, math.prod(sizes)
