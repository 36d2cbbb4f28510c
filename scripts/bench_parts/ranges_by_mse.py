"""Ranges of activations that lose least in the mean square, from histograms; what was done by hand before edgekit did it.

Two passes over the data, a few tensors at a time: their extremes, then a histogram between them. Nothing of edgekit takes part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

BINS = 2048
SHARES = np.linspace(0.3, 1.0, 36)  # of the extreme, tried on each side
LEVELS = 255
TENSORS_AT_ONCE = 32


def ranges_by_mse(proto: Any, nodes: Sequence[str], data: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """For each activation that the nodes read or put out: where to cut."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    wanted = [
        name
        for node in proto.graph.node
        if node.name in set(nodes)
        for name in (*node.input[:2], *node.output)
        if name and name not in constants
    ]
    names = list(dict.fromkeys(wanted))
    found: dict[str, tuple[float, float]] = {}
    for start in range(0, len(names), TENSORS_AT_ONCE):
        part = names[start : start + TENSORS_AT_ONCE]
        extremes = dict.fromkeys(part, (0.0, 0.0))
        for values in _run(proto, part, data):
            for name, value in values.items():
                low, high = extremes[name]
                extremes[name] = (min(low, float(value.min())), max(high, float(value.max())))
        counts = {name: np.zeros(BINS) for name in part}
        for values in _run(proto, part, data):
            for name, value in values.items():
                counts[name] += np.histogram(value, BINS, extremes[name])[0]
        found |= {name: _cut(counts[name], *extremes[name]) for name in part}
    return found


def _run(proto: Any, names: Sequence[str], data: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    import onnx
    import onnxruntime

    given = {value.name for value in proto.graph.input}
    inner = [name for name in names if name not in given]
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    present = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in inner if name not in present
    )
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings)
    for feed in data:
        outputs = dict(zip(inner, session.run(inner, feed), strict=True)) if inner else {}
        yield {name: feed[name] for name in names if name in given} | outputs


def _cut(counts: Any, low: float, high: float) -> tuple[float, float]:
    """The pair of cuts with the least expected square error of rounding and saturation."""
    if not high > low:
        return low, high
    edges = np.linspace(low, high, BINS + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    best = (np.inf, low, high)
    for below in SHARES if low < 0 else SHARES[-1:]:
        for above in SHARES if high > 0 else SHARES[-1:]:
            step = (above * high - below * low) / LEVELS
            if not step > 0:
                continue
            over = np.maximum(middles - above * high, 0) + np.maximum(below * low - middles, 0)
            error = float((counts * np.where(over > 0, over**2, step**2 / 12)).sum())
            best = min(best, (error, below * low, above * high))
    return best[1], best[2]
