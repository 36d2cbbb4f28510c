"""What candidates depend on in a model: counts, read once a model."""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.errors import ModelError

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model

#: Where the weights of an operator are among its inputs.
_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1, "Gather": 0}
STATIC_OPERATORS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
#: Weights with fewer elements are not worth a format of their own.
SMALLEST_WEIGHT = 1024


@dataclass(frozen=True)
class Content:
    """Nodes of the main graph with constant float32 weights by type: all of them, and those with at least ``SMALLEST_WEIGHT``.

    ``cannot_be_raised``: why the model cannot be brought to a current opset; then nothing else is known.
    """

    operators: Counter[str] = field(default_factory=Counter)
    large: Counter[str] = field(default_factory=Counter)
    cannot_be_raised: str = ""

    @property
    def is_mostly_products(self) -> bool:
        """More matrix products than convolutions: a transformer, as a rule."""
        count = self.operators
        return count["MatMul"] + count["Gemm"] > count["Conv"] + count["ConvTranspose"]

    @property
    def n_large_products(self) -> int:
        return self.large["MatMul"] + self.large["Gemm"]


@functools.lru_cache(maxsize=8)  # ``candidates`` and ``reject`` ask several times a run
def content_of(model: Model) -> Content:
    """The content of ``model``."""
    from edgekit.frontends import onnx_frontend

    try:
        graph = onnx_frontend.read_raised(model).graph
    except ModelError as problem:
        return Content(cannot_be_raised=str(problem))
    return _count(graph)


def _count(graph: onnx.GraphProto) -> Content:
    sizes = {t.name: math.prod(t.dims) for t in graph.initializer if t.data_type == t.FLOAT and len(t.dims) >= 2}
    found = [
        (node.op_type, sizes[node.input[position]])
        for node in graph.node
        if node.domain in ("", "ai.onnx")
        and (position := _WEIGHTS.get(node.op_type, len(node.input))) < len(node.input)
        and node.input[position] in sizes
    ]
    return Content(
        Counter(name for name, _ in found if name != "Gather"),
        Counter(name for name, size in found if size >= SMALLEST_WEIGHT),
    )
