"""What candidates depend on in a model: counts, read once a model and before any conversion."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgekit.quantize import content
from edgekit.quantize.content import Content

from . import graph as tflite

if TYPE_CHECKING:
    from edgekit.model import Model

_OF_TFLITE = {
    "CONV_2D": "Conv", "DEPTHWISE_CONV_2D": "Conv", "TRANSPOSE_CONV": "ConvTranspose", "FULLY_CONNECTED": "MatMul",
    "BATCH_MATMUL": "MatMul",
}  # fmt: skip


@functools.lru_cache(maxsize=8)  # ``candidates`` and ``reject`` ask several times a run
def content_of(model: Model) -> Content:
    """The content of ``model``."""
    if model.format == "tflite":
        from .convert import float_file

        return content.content_from(_weights(tflite.read(float_file(model))))
    return content.content_of(model, tables=False)


def _weights(graph: tflite.Graph) -> Iterator[tuple[str, int]]:
    sizes = {
        t.name: math.prod(t.shape) for t in graph.tensors.values() if t.is_constant and t.dtype == "float32" and len(t.shape) > 1
    }
    for operator in graph.operators:
        stored = [sizes[name] for name in operator.constants if name in sizes]
        if operator.kind in _OF_TFLITE and stored:
            yield _OF_TFLITE[operator.kind], max(stored)
