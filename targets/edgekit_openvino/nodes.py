"""Which operations of an IR compute a node of the normalised ONNX.

Tensors keep their ONNX names in an IR, operations do not match one to one: a convolution with a bias becomes two operations, a
scale behind it is folded into its weights (and its tensor is gone), and what is constant is computed during the conversion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from edgekit.frontends.graph import node_id, subgraphs
from edgekit.quantize.graphs import require_known

if TYPE_CHECKING:
    import onnx

    from edgekit.types import NodeId

_SOURCES = ("Parameter", "Constant", "ReadValue")


def find_operations(ir: Any, ids: Collection[NodeId], graph: onnx.GraphProto) -> list[str]:
    """The friendly names of the operations of ``ir`` that compute the nodes ``ids`` of ``graph``, sorted.

    Args:
        ir: an ``openvino.Model`` that was converted from ``graph``.
        graph: the main graph of the normalised ONNX.

    Returns:
        A node whose tensor was lost because the nodes after it were fused with it is found as the operations of all of them. A
        node that was folded into a constant is nothing.

    Raises:
        ModelError: an id is not the first output of a node of ``graph``.
    """
    return sorted({name for names in operations_of(ir, ids, graph).values() for name in names})


def operations_of(ir: Any, ids: Collection[NodeId], graph: onnx.GraphProto) -> dict[NodeId, set[str]]:
    """The same by node: see :func:`find_operations`. One that was folded into a constant has none."""
    if not ids:
        return {}
    require_known(graph, ids)
    nodes = {node_id(node): node for node in graph.node}
    computed = _computed_names(graph)
    ports = _ports(ir, computed)
    readers = _readers(graph)
    found: dict[NodeId, set[str]] = {wanted: set() for wanted in ids}
    for wanted in ids:
        if wanted not in computed:
            continue  # a constant
        if wanted in ports:
            inputs = [name for name in _read_names(nodes[wanted]) if name in computed]
            is_whole = all(name in ports for name in inputs)  # otherwise what stands before it belongs to nodes that were fused
            found[wanted] = _group(ports[wanted], ports) if is_whole else {_name(ports[wanted].get_node())}
        else:
            for name in _next_kept(wanted, readers, ports):
                found[wanted] |= _group(ports[name], ports)
    return found


def _ports(ir: Any, names: Collection[str]) -> dict[str, Any]:
    """The output port that each of ``names`` has in the IR, where it has one."""
    operations = [operation for operation in ir.get_ops() if operation.get_type_name() != "Result"]  # repeats the name it reads
    return {name: port for operation in operations for port in operation.outputs() for name in port.get_names() if name in names}


def _computed_names(graph: onnx.GraphProto) -> set[str]:
    """The tensors that depend on an input; all others are constants. Nodes are in topological order."""
    stored = {tensor.name for tensor in graph.initializer}
    computed = {value.name for value in graph.input} - stored
    for node in graph.node:
        if not computed.isdisjoint(_read_names(node)) or node.op_type.startswith("Random"):
            computed.update(name for name in node.output if name)
    return computed


def _read_names(node: onnx.NodeProto) -> set[str]:
    """What a node reads, the tensors that its bodies capture included."""
    captured = {name for body in subgraphs([node]) for inner in body.node for name in _read_names(inner)}
    return {name for name in node.input if name} | captured


def _readers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in _read_names(node):
            readers.setdefault(name, []).append(node)
    return readers


def _next_kept(wanted: NodeId, readers: Mapping[str, Iterable[onnx.NodeProto]], ports: Mapping[str, Any]) -> set[str]:
    """The nearest tensors after ``wanted`` that the IR still has."""
    kept: set[str] = set()
    waiting, seen = [wanted], {wanted}
    while waiting:
        for node in readers.get(waiting.pop(), ()):
            for name in filter(None, node.output):
                if name in ports:
                    kept.add(name)
                elif name not in seen:
                    seen.add(name)
                    waiting.append(name)
    return kept


def _group(port: Any, ports: Mapping[str, Any]) -> set[str]:
    """The operation behind ``port`` and those before it, up to inputs, constants and the tensors of other nodes."""
    names: set[str] = set()
    waiting = [port.get_node()]
    while waiting:
        operation = waiting.pop()
        if operation.get_type_name() in _SOURCES or _name(operation) in names or _is_constant(operation):
            continue
        names.add(_name(operation))
        waiting += [source.get_node() for source in operation.input_values() if ports.keys().isdisjoint(source.get_names())]
    return names


def _is_constant(operation: Any) -> bool:
    """Whether it computes from constants alone: a reshaped weight, say."""
    waiting, seen = [operation], set()
    while waiting:
        current = waiting.pop()
        if current.get_type_name() in ("Parameter", "ReadValue"):
            return False
        if _name(current) not in seen:
            seen.add(_name(current))
            waiting += [source.get_node() for source in current.input_values()]
    return True


def _name(operation: Any) -> str:
    name: str = operation.get_friendly_name()
    return name
