"""Walking an ONNX model: every graph, node and tensor in it, wherever it is nested, and a copy of it without its heavy weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import onnx

SMALL_TENSOR_BYTES = 4096  # shapes, scales and axes are smaller, and shape inference must see them; weights are larger


def subgraphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """The graphs directly inside the attributes of ``nodes`` (branches of ``If``, bodies of ``Loop`` and ``Scan``)."""
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g
            yield from attribute.graphs


def nested_graphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """All graphs inside ``nodes``, at any depth."""
    for graph in subgraphs(nodes):
        yield graph
        yield from nested_graphs(graph.node)


def all_graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph first, then every graph inside a node, a function or the training information."""
    roots = [proto.graph]
    for training in proto.training_info:
        roots += [training.initialization, training.algorithm]
    for root in roots:
        yield root
        yield from nested_graphs(root.node)
    for function in proto.functions:
        yield from nested_graphs(function.node)


def all_nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of every graph and of every function."""
    for graph in all_graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node


def all_tensors(proto: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Every tensor stored in the model with a label.

    The label is the tensor's name in the main graph (for a ``Constant`` node: the name of its output) and ``""`` for those that
    are nested deeper, whose names are not unique.
    """
    for index, graph in enumerate(all_graphs(proto)):
        main = index == 0
        for tensor in graph.initializer:
            yield (tensor.name if main else ""), tensor
        for sparse in graph.sparse_initializer:
            yield "", sparse.values
            yield "", sparse.indices
        yield from _attribute_tensors(graph.node, main=main)
    for function in proto.functions:
        yield from _attribute_tensors(function.node, main=False)
        for attribute in function.attribute_proto:
            yield from (("", tensor) for tensor in _tensors_of(attribute))


def _attribute_tensors(nodes: Iterable[onnx.NodeProto], *, main: bool) -> Iterator[tuple[str, onnx.TensorProto]]:
    for node in nodes:
        label = node.output[0] if main and node.op_type == "Constant" and node.output else ""
        for attribute in node.attribute:
            yield from ((label, tensor) for tensor in _tensors_of(attribute))


def _tensors_of(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    sparse_tensors = [*attribute.sparse_tensors]
    if attribute.HasField("sparse_tensor"):
        sparse_tensors.append(attribute.sparse_tensor)
    for sparse in sparse_tensors:
        yield sparse.values
        yield sparse.indices


_WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU", "RNN")


def note_on_bodies(proto: onnx.ModelProto) -> str:
    """Says how much of the work lies where quantizers do not reach; empty where all of it is in the main graph."""
    inside = sum(node.op_type in _WEIGHTED for graph in nested_graphs(proto.graph.node) for node in graph.node)
    outside = sum(node.op_type in _WEIGHTED for node in proto.graph.node)
    if not inside:
        return ""
    what = f"{inside} of {inside + outside} convolutions, products and recurrent layers"
    return f"{what} lie in branches of If or Loop: they stay in float"


def note_on_half_precision(proto: onnx.ModelProto) -> str:
    """Says that most weights are in a 16-bit format, which quantizers do not start from; empty where they are not."""
    elements = dict.fromkeys(("float32", "float16", "bfloat16"), 0)
    names = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16", onnx.TensorProto.BFLOAT16: "bfloat16"}
    for tensor in proto.graph.initializer:
        if tensor.data_type in names:
            elements[names[tensor.data_type]] += math.prod(tensor.dims)
    most = max(elements, key=lambda name: elements[name])
    if most == "float32":  # the first, so also where there are no weights
        return ""
    return f"most weights are {most}: integers are made of float32 only, so export the model in float32 to have them tried"


def node_id(node: onnx.NodeProto) -> str:
    """The NodeId: the first output that has a name (an ``LSTM`` may leave its first output out)."""
    return next((name for name in node.output if name), "")


def opset_of(proto: onnx.ModelProto, domain: str = "") -> int | None:
    """The version of ``domain``'s operators that the model declares; ``""`` and ``"ai.onnx"`` are the same domain."""
    versions = [entry.version for entry in proto.opset_import if _plain(entry.domain) == domain]
    return versions[0] if versions else None


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def without_weights(proto: onnx.ModelProto, *, over_bytes: int = 0) -> tuple[onnx.ModelProto, list[onnx.TensorProto]]:
    """A copy of ``proto`` whose main graph lacks the initializers above ``over_bytes``, and those initializers (not copied).

    This is how a model of any size is handed to code that serializes it (protobuf ends at 2 GiB) or that only looks at its
    structure. The order of what stays is kept.
    """
    from .tensors import declared_bytes

    light = onnx.ModelProto()
    _copy_fields(proto, light, without="graph")
    _copy_fields(proto.graph, light.graph, without="initializer")
    taken = []
    for tensor in proto.graph.initializer:
        if declared_bytes(tensor) > over_bytes:
            taken.append(tensor)
        else:
            light.graph.initializer.add().CopyFrom(tensor)
    return light, taken


def weights_as_inputs(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[onnx.TensorProto]]:
    """Like :func:`without_weights`, with a graph input declared for each weight taken out, so that the copy is valid."""
    light, taken = without_weights(proto, over_bytes=SMALL_TENSOR_BYTES)
    for tensor in taken:
        light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return light, taken


def _copy_fields(source: Any, target: Any, *, without: str) -> None:
    for field, value in source.ListFields():
        if field.name == without:
            continue
        if hasattr(value, "MergeFrom"):  # a message or a repeated field
            getattr(target, field.name).MergeFrom(value)
        else:
            setattr(target, field.name, value)
