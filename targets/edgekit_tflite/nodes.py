"""Which node of the normalised ONNX an operator of the converted ``.tflite`` computes.

The converter gives no table. But it names weights and outputs after the node that they come from, and what it puts in between
(padding, changes of layout) belongs to the operator that reads it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from edgekit.errors import ModelError
from edgekit.types import NodeId

from .graph import Graph, Operator

#: What the converter appends to a node's name for its weights.
_WEIGHTS = re.compile(r"_(?:group\d+_)?(?:conv_filter|depthwise_filter|transpose_conv_filter|fc_weights|conv_bias|fc_bias)\b")
#: And to the name of an output that it keeps in another layout.
_LAYOUT = re.compile(r"_(?:output_)?(?:nhwc|nwc|ndhwc)(?:_bridge)?$")


def owners(graph: Graph, ids: Sequence[NodeId]) -> tuple[NodeId, ...]:
    """The node of each operator, in the order of ``graph.operators``; ``""`` where none can be told.

    Args:
        ids: the nodes of the main graph of the normalised ONNX, which were called by these names when it was converted. For a model
            that came as ``.tflite``: its operators' first outputs, each of which is then its own.
    """
    known = frozenset(ids)
    found = [_told(operator, known) for operator in graph.operators]
    readers: dict[str, list[int]] = defaultdict(list)
    for index, operator in enumerate(graph.operators):
        for name in operator.inputs:
            readers[name].append(index)
    makers = {name: index for index, operator in enumerate(graph.operators) for name in operator.outputs}
    for index in reversed(range(len(found))):  # operators are in topological order
        if not found[index]:
            behind = {found[reader] for name in graph.operators[index].outputs for reader in readers[name]} - {""}
            found[index] = behind.pop() if len(behind) == 1 else ""
    for index, operator in enumerate(graph.operators):
        if not found[index]:
            found[index] = next((found[makers[name]] for name in operator.inputs if name in makers and found[makers[name]]), "")
    return tuple(found)


def _told(operator: Operator, known: Collection[NodeId]) -> NodeId:
    for name in operator.constants:
        match = _WEIGHTS.search(name)
        if match is not None and name[: match.start()] in known:
            return name[: match.start()]
    for name in operator.outputs:
        if name in known:
            return name
        plain = _LAYOUT.sub("", name)
        if plain in known:
            return plain
    return ""


def require_known(ids: Collection[NodeId], keep_float: Collection[NodeId]) -> None:
    """Refuse names that the model does not have.

    Raises:
        ModelError: names the first of them.
    """
    unknown = sorted(set(keep_float) - set(ids))
    if unknown:
        raise ModelError(
            f"keep_float names nodes that the model does not have: {', '.join(unknown[:5])}",
            why="a node is named by its first output in the normalised ONNX",
            hint="take the names from `edgekit inspect`",
        )
