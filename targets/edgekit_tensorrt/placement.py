"""Where TensorRT's integer kernels want Q/DQ, as a table; and which operators are too narrow for them.

TensorRT fuses what is in front of a ``QuantizeLinear`` into it and what is behind a ``DequantizeLinear`` with it, so every input
of a convolution or product is quantized, with its weight, and no output: what an output is rounded to is decided by who reads it.
Biases,
normalizations and activation functions stay as they are and are fused. At a residual addition the shortcut alone is quantized, so
that the addition becomes part of the convolution at the end of the other branch. Products of two activations stay in float.

Sources: NVIDIA TensorRT, "Working with Quantized Types" (recommendations on Q/DQ placement); which widths have kernels worth using:
NVIDIA Model Optimizer, whose int8 recipe leaves the same out.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.quantize import graphs
from edgekit.quantize.types import Placement

from .graph_view import GraphView

if TYPE_CHECKING:
    import onnx

    from edgekit.types import NodeId

    from .limits import Limits

#: Weights stored in int8: TensorRT 10 and later.
STORED = Placement(
    "TensorRT",
    {"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1},
    activation_type="int8",
    activation_symmetric=True,
    quantize_outputs=False,
    absorbed=(),
    bias="float",
    residual_add="by maker",
    fused_before_add=("BatchNormalization", "Relu"),
    rounded_before_add=("AveragePool", "BatchNormalization", "GlobalAveragePool", "MaxPool", "Mul"),
    keep_depthwise_float=False,
)
#: Weights in float32 behind a pair: what every release takes.
PAIRED = replace(STORED, name="TensorRT, float weights", weight_storage="float")

_WIDE = 16  # channels that fill a tensor core's tile
_PRODUCTS = ("MatMul", "Gemm")


def placement_for(limits: Limits) -> Placement:
    return STORED if limits.stores_integers else PAIRED


def narrow_nodes(model: onnx.ModelProto) -> dict[NodeId, str]:
    """The operators of a normalised ONNX whose weights int8 would only slow down, and why. A free first axis counts as 1, which is
    what latencies are taken at.
    """
    graph, view = model.graph, GraphView(model)
    constants = graphs.float_initializers(graph)
    inputs = {value.name for value in graph.input}
    found: dict[NodeId, str] = {}
    for node in graph.node:
        weight = constants.get(node.input[1]) if len(node.input) > 1 else None
        if weight is None or not graphs.is_standard(node) or len(weight.dims) < 2:
            continue
        if node.op_type in _PRODUCTS:
            why = _narrow_product(*graphs.channels(node, weight), _rows(view, node.input[0]))
        elif node.op_type in ("Conv", "ConvTranspose"):
            why = _narrow_convolution(node, weight, reads_input=node.input[0] in inputs)
        else:
            continue
        if why:
            found[graphs.node_id(node)] = why
    return found


def _narrow_product(k: int, n: int, m: int | None) -> str:
    if m == 1 or n == 1:
        return "a matrix times a vector is bound by memory"
    return f"K={k} and N={n}: integer kernels need {_WIDE}" if min(k, n) < _WIDE else ""


def _narrow_convolution(node: onnx.NodeProto, weight: onnx.TensorProto, *, reads_input: bool) -> str:
    """A grouped convolution counts the input channels of one group."""
    group, taps = int(graphs.attribute(node, "group", 1)), [int(size) for size in weight.dims[2:]]
    outputs, inputs = int(weight.dims[0]), int(weight.dims[1])
    if node.op_type == "ConvTranspose":
        outputs, inputs = inputs, outputs
    if min(outputs, inputs) >= _WIDE:
        return ""
    in_eights = outputs % 8 == 0 or inputs % 8 == 0
    if group == 1 and in_eights and (reads_input or max(outputs, inputs) >= _WIDE) and len(set(taps)) == 1:
        return ""  # padded to a tile, which still pays
    if group > 1 and outputs % 8 == 0 and min(taps) >= 3:
        return ""  # has kernels of its own
    each = " a group" if group > 1 else ""
    return f"{inputs} to {outputs} channels{each}: integer kernels need {_WIDE}"


def _rows(view: GraphView, tensor: str) -> int | None:
    """M of the product that reads ``tensor``: its sizes but the last; a free first one counts as 1, any other is not known."""
    shape = view.shape_of(tensor)
    if not shape or None in shape[1:-1]:
        return None
    return math.prod(size or 1 for size in shape[:-1])
