"""What candidates depend on in a model: counts, read once a model and before any conversion."""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.errors import ModelError

from . import graph as tflite

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model

#: Where the weights of an operator are among its inputs.
_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1}
_OF_TFLITE = {
    "CONV_2D": "Conv", "DEPTHWISE_CONV_2D": "Conv", "TRANSPOSE_CONV": "ConvTranspose", "FULLY_CONNECTED": "MatMul",
    "BATCH_MATMUL": "MatMul",
}  # fmt: skip
#: Weights with fewer elements are not worth a format of their own.
SMALLEST_WEIGHT = 1024


@dataclass(frozen=True)
class Content:
    """Operators with constant float32 weights by type: all of them, and those with at least ``SMALLEST_WEIGHT`` elements.

    ``cannot_be_raised``: why the model cannot be brought to a current opset; then nothing else is known.
    """

    operators: Counter[str] = field(default_factory=Counter)
    large: Counter[str] = field(default_factory=Counter)
    cannot_be_raised: str = ""

    @property
    def n_convolutions(self) -> int:
        return self.operators["Conv"] + self.operators["ConvTranspose"]

    @property
    def n_products(self) -> int:
        return self.operators["MatMul"] + self.operators["Gemm"]

    @property
    def n_large_products(self) -> int:
        return self.large["MatMul"] + self.large["Gemm"]


@functools.lru_cache(maxsize=8)  # ``candidates`` and ``reject`` ask several times a run
def content_of(model: Model) -> Content:
    """The content of ``model``."""
    from edgekit.frontends import onnx_frontend

    if model.format == "tflite":
        from .convert import float_file

        return _count_tflite(tflite.read(float_file(model)))
    try:
        graph = onnx_frontend.read_raised(model).graph
    except ModelError as problem:
        return Content(cannot_be_raised=str(problem))
    return _count(graph)


def _count(graph: onnx.GraphProto) -> Content:
    sizes = {t.name: math.prod(t.dims) for t in graph.initializer if t.data_type == t.FLOAT and len(t.dims) >= 2}
    return _content([
        (node.op_type, sizes[node.input[position]])
        for node in graph.node
        if node.domain in ("", "ai.onnx")
        and (position := _WEIGHTS.get(node.op_type, len(node.input))) < len(node.input)
        and node.input[position] in sizes
    ])  # fmt: skip


def _count_tflite(graph: tflite.Graph) -> Content:
    sizes = {
        t.name: math.prod(t.shape) for t in graph.tensors.values() if t.is_constant and t.dtype == "float32" and len(t.shape) > 1
    }
    return _content([
        (_OF_TFLITE[operator.kind], max(sizes[name] for name in operator.constants if name in sizes))
        for operator in graph.operators
        if operator.kind in _OF_TFLITE and any(name in sizes for name in operator.constants)
    ])  # fmt: skip


def _content(found: list[tuple[str, int]]) -> Content:
    return Content(Counter(name for name, _ in found), Counter(name for name, size in found if size >= SMALLEST_WEIGHT))
