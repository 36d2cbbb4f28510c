"""Which operators of a ``.tflite`` compute in integers, for each scheme.

What is left in float on purpose, because ai-edge-quantizer makes files of it that fail or are silently wrong:

- ``DIV``, ``SQRT`` and ``RSQRT``: an int8 divisor that rounds to zero ends the inference (LayerNorm, L2 norms).
- ``BATCH_MATMUL`` with static ranges: its kernel takes no scale a channel, and the file that says so gives wrong numbers (cosine
  0.16 in a sentence encoder). Dynamically quantized it is right.
- ``PADV2``: its padding value is not quantized with the tensor.
- ``SOFTMAX``: 17 dB at the end of a classifier, for nothing.
- ``CONCATENATION`` of tensors that differ in range: all get the widest one's scale, and a face detector's small scores vanished.
- What rounds but saves little time next to operators in float: element-wise operators.

The last two are quantized on request (build option ``elementwise``).
"""

from __future__ import annotations

from collections.abc import Collection

from .graph import Graph, Operator

#: Operators with weights that have integer kernels.
KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
PRODUCTS = ("FULLY_CONNECTED", "BATCH_MATMUL")
#: Operators that move values, or choose among them, without computing: int8 passes through, at the scale of what they read.
MOVES = frozenset({
    "PAD", "RESHAPE", "TRANSPOSE", "MAX_POOL_2D", "SLICE", "STRIDED_SLICE", "SPLIT", "UNPACK", "GATHER", "GATHER_ND", "RELU",
    "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "AVERAGE_POOL_2D",
})  # fmt: skip
#: Operators that compute element by element, take means or put tensors side by side, and can do so in int8.
ELEMENTWISE = frozenset({
    "CONCATENATION", "ADD", "SUB", "MUL", "MEAN", "LOGISTIC", "TANH", "HARD_SWISH", "GELU", "MAXIMUM", "RESIZE_BILINEAR", "SUM",
})  # fmt: skip


def static_operators(graph: Graph, kept: Collection[int], *, elementwise: bool) -> list[int]:
    """The operators that compute in int8 with calibrated ranges, by index, in order.

    Args:
        kept: operators that stay in float.
        elementwise: also element-wise operators of which at least one input is in int8 already.
    """
    chosen = [index for index, operator in enumerate(graph.operators) if index not in kept and has_weights(graph, operator)]
    in_int8 = {name for index in chosen for name in graph.operators[index].outputs}
    found = set(chosen)
    for index, operator in enumerate(graph.operators):  # in topological order
        if index in found or index in kept or not _is_float(graph, operator):
            continue
        read = [name for name in operator.inputs if graph.tensors[name].dtype == "float32"]
        passes = operator.kind in MOVES and bool(read) and all(name in in_int8 for name in read)
        computes = elementwise and operator.kind in ELEMENTWISE and any(name in in_int8 for name in read)
        if passes or computes:
            found.add(index)
            in_int8.update(operator.outputs)
    return sorted(found)


def last_kernels(graph: Graph) -> frozenset[int]:
    """The kernels whose results become the model's outputs with nothing but light operators in between, by index."""
    makers = {name: index for index, operator in enumerate(graph.operators) for name in operator.outputs}
    found: set[int] = set()
    seen: set[str] = set()
    waiting = [tensor.name for tensor in graph.outputs.values()]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in makers:
            continue
        seen.add(name)
        operator = graph.operators[makers[name]]
        if operator.kind in KERNELS or operator.kind == "BATCH_MATMUL":
            found.add(makers[name])
        else:
            waiting += operator.inputs
    return frozenset(found)


def weighted_operators(graph: Graph, kinds: Collection[str], kept: Collection[int]) -> list[int]:
    """The operators of ``kinds`` with constant float weights, by index, in order."""
    return [
        index
        for index, operator in enumerate(graph.operators)
        if operator.kind in kinds and index not in kept and _reads_weights(graph, operator)
    ]


def has_weights(graph: Graph, operator: Operator) -> bool:
    """Whether it is a kernel whose weights are stored, on an activation in float."""
    return operator.kind in KERNELS and _reads_weights(graph, operator)


def _reads_weights(graph: Graph, operator: Operator) -> bool:
    weights = [graph.tensors[name] for name in operator.constants]
    return bool(operator.inputs) and _is_float(graph, operator) and any(t.dtype == "float32" and len(t.shape) > 1 for t in weights)


def _is_float(graph: Graph, operator: Operator) -> bool:
    return all(graph.tensors[name].dtype == "float32" for name in operator.outputs)
