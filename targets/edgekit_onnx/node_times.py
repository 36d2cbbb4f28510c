"""From ONNX Runtime's own profile back to the operators of the normalised ONNX.

What edgekit writes names every node of the float model by its NodeId, and what belongs to one besides by ``NodeId::what``. The
runtime keeps that name for integer kernels, adds endings to it (``_nchwc``, ``_token_12``), and gives a convolution that has
taken in an activation function the name of the latter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgekit.frontends.graph import node_id

if TYPE_CHECKING:
    import onnx

    from edgekit.types import JSON, NodeId

_ENDING = re.compile(r"(_nchwc|_token_\d+|/duplicated|/MatmulTransposeFusion/?|/MatMulScaleFusion/?)$")
_PART = "::"
#: Kernels by the operator that they compute: with another operator's name they have taken that one in.
_KERNELS = {"Conv": "Conv", "FusedConv": "Conv", "QLinearConv": "Conv", "Gemm": "Gemm", "FusedGemm": "Gemm"}


def part_of(node: NodeId, what: str) -> str:
    """The name of a node that exists for the sake of another."""
    return f"{node}{_PART}{what}"


def node_times(layers: Sequence[Mapping[str, JSON]], graph: onnx.GraphProto) -> dict[NodeId, float]:
    """Seconds an inference of each operator of ``graph`` that the runtime ran, and under ``""`` of what belongs to none of them:
    quantization, layout changes, what the runtime has put together from several.

    Args:
        layers: what ``layers()`` of the device side tells.
        graph: the normalised ONNX.
    """
    nodes = {node_id(node): node for node in graph.node}
    made_by = {name: node for node in graph.node for name in node.output if name}
    found: dict[NodeId, float] = {}
    for layer in layers:
        name = _operator(str(layer["name"]), str(layer["op"]), nodes, made_by)
        found[name] = found.get(name, 0.0) + float(layer["time_s"]) / max(1, int(layer["n"]))
    return found


def _operator(name: str, kernel: str, nodes: Mapping[NodeId, onnx.NodeProto], made_by: Mapping[str, onnx.NodeProto]) -> NodeId:
    while name not in nodes:
        whole, name = name, _ENDING.sub("", name)
        if name == whole:
            break
    if name not in nodes:
        name = name.rpartition(_PART)[0]
    if name not in nodes:
        return ""
    wanted, node = _KERNELS.get(kernel), nodes[name]
    while wanted is not None and node.op_type != wanted:
        before = made_by.get(node.input[0]) if node.input else None
        if before is None:
            return name
        node = before
    return node_id(node)
