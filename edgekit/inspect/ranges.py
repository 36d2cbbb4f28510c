"""What the activations of a model span on given data, by every method, and whether the data are enough to say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from ..errors import UsageError
from ..frontends.graph import node_id
from ..frontends.onnx_frontend import read_raised
from ..quantize.check import check_calibration
from ..quantize.range_cache import statistics_for
from ..quantize.ranges import METHODS, activation_range
from ..quantize.statistics import TensorStatistics
from ..targets import ONNX_FORMATS
from .types import RangeTable, TensorRanges

if TYPE_CHECKING:
    from ..model import Model
    from ..progress import Progress
    from ..types import BuildData

#: Operators whose inputs and outputs quantizers give ranges to; those of recurrent ones are bound to [-1, 1] inside.
_MEASURED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU")


def describe_ranges(model: Model, data: BuildData, *, progress: Progress | None = None) -> RangeTable:
    """Ranges of the float inputs and outputs of the model's convolutions, products and recurrent layers, in graph order.

    They are those of uint8 with a zero point of its own. Statistics come from the cache where they are in it.

    Raises:
        UsageError: it is no ONNX model.
        ModelError: the model changed or vanished since it was loaded.
        DataError: the model cannot take a feed, or the data are not what they were.
        OutputError: the cache cannot be written.
    """
    if model.format not in ONNX_FORMATS:
        raise UsageError(f"--ranges needs an ONNX model, not a .{model.format} file", hint="leave --ranges and --calib out")
    names = measured_tensors(read_raised(model))
    fit = statistics_for(model, data, names, progress=progress)
    rows = tuple(_row(name, fit.tensors[name]) for name in names)
    return RangeTable(n_feeds=fit.n_feeds, tensors=rows, calibration=check_calibration(model, data, names, progress=progress))


def measured_tensors(proto: onnx.ModelProto) -> list[str]:
    """The tensors of the main graph that :func:`describe_ranges` lists."""
    constant = {tensor.name for tensor in proto.graph.initializer} | {
        tensor.values.name for tensor in proto.graph.sparse_initializer
    }
    made = {value.name for value in proto.graph.input} | {name for node in proto.graph.node for name in node.output}
    made -= constant | {""}
    found: dict[str, None] = {}
    for node in proto.graph.node:
        if node.op_type in _MEASURED and node.domain in ("", "ai.onnx"):
            n_data = 2 if node.op_type == "MatMul" else 1
            found |= dict.fromkeys(name for name in (*node.input[:n_data], node_id(node)) if name in made)
    return list(found)


def _row(name: str, statistics: TensorStatistics) -> TensorRanges:
    ranges: dict[str, tuple[float, float] | None] = {}
    for method in METHODS:
        span = activation_range(statistics, method, dtype="uint8", symmetric=False) if statistics.count else None
        ranges[method] = (span.low, span.high) if span is not None else None
    seen = (statistics.minimum, statistics.maximum) if statistics.count else None
    return TensorRanges(tensor=name, count=statistics.count, n_nonfinite=statistics.n_nonfinite, seen=seen, ranges=ranges)
