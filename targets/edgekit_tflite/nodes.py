"""Which node of the normalised ONNX an operator of the converted ``.tflite`` computes, and what a node keeps in float."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from edgekit.errors import ModelError
from edgekit.types import NodeId

from .graph import Graph


def kept_operators(graph: Graph, operators: Mapping[NodeId, tuple[int, ...]], keep_float: Collection[NodeId]) -> frozenset[int]:
    """The operators of ``graph``, by position, that stay in float when the nodes ``keep_float`` do.

    Args:
        operators: {NodeId: the operators that compute it}, as the conversion told.
    """
    if not keep_float:
        return frozenset()
    return frozenset(index for index, nodes in enumerate(owners(graph, operators)) if not nodes.isdisjoint(keep_float))


def owners(graph: Graph, operators: Mapping[NodeId, tuple[int, ...]]) -> tuple[frozenset[NodeId], ...]:
    """The nodes that each operator belongs to, in the order of ``graph.operators``.

    What a converter puts in (padding, changes of layout) and what was lowered to operators without a name of their own belongs to
    the nodes that read it, else to those that it reads.
    """
    found: list[frozenset[NodeId]] = [frozenset()] * len(graph.operators)
    for node, positions in operators.items():
        for position in positions:
            found[position] |= {node}
    readers: dict[str, list[int]] = defaultdict(list)
    makers: dict[str, int] = {}
    for index, operator in enumerate(graph.operators):
        makers.update(dict.fromkeys(operator.outputs, index))
        for name in operator.inputs:
            readers[name].append(index)
    for index in reversed(range(len(found))):  # operators are in topological order
        if not found[index]:
            found[index] = frozenset().union(
                *(found[reader] for name in graph.operators[index].outputs for reader in readers[name])
            )
    for index, operator in enumerate(graph.operators):
        if not found[index]:
            found[index] = frozenset().union(*(found[makers[name]] for name in operator.inputs if name in makers))
    return tuple(found)


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
