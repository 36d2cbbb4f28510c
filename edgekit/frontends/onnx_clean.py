"""Clean-ups that leave the arithmetic alone. Each changes the graph in place and returns a sentence on what it did, or None.

They close the traps of real exporters: weights in ``Constant`` nodes make quantizers fail, weights among the graph inputs keep
runtimes from folding them, copies of one weight are stored and loaded several times, unnamed nodes cannot be spared by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import inliner

from ..errors import ModelError
from .graph import all_nodes, subgraphs
from .onnx_session import newest_ir_version, plain_reason
from .tensors import declared_bytes

_SMALLEST_SHARED_BYTES = 64
_FIRST_IR_WITH_PLAIN_INITIALIZERS = 4  # before it, every initializer had to be listed as a graph input


def clean(proto: onnx.ModelProto, digests: Mapping[str, str]) -> list[str]:
    """All clean-ups, in order.

    Args:
        digests: sha256 of the values of each tensor of the main graph, by name (see :mod:`fingerprint`). External tensors may
            still be external.

    Returns:
        A sentence for each one that changed something.
    """
    functions = inline_functions(proto)
    name_standard_domain(proto)
    notes = [
        functions,
        lift_constants(proto.graph),
        unlist_initializers(proto.graph),
        bypass_identities(proto.graph),
        merge_duplicates(proto.graph, digests),
        name_nodes(proto.graph),
        set_ir_version(proto),
    ]
    return [note for note in notes if note]


def inline_functions(proto: onnx.ModelProto) -> str | None:
    """Put the bodies of the model's own functions in place of their calls: few tools look inside a function."""
    count = len(proto.functions)
    if not count:
        return None
    try:
        proto.CopyFrom(inliner.inline_local_functions(proto))
    except (RuntimeError, ValueError) as problem:
        raise ModelError("the model's own functions cannot be put in place of their calls", why=plain_reason(problem)) from problem
    used = {node.domain for node in all_nodes(proto)} | {function.domain for function in proto.functions}
    for entry in [entry for entry in proto.opset_import if entry.domain not in (used | {"", "ai.onnx"})]:
        proto.opset_import.remove(entry)
    return f"{_count(count, 'function')} of the model's own put in place of the calls"


def name_standard_domain(proto: onnx.ModelProto) -> None:
    """Write the standard domain as ``""`` everywhere; ``"ai.onnx"`` means the same, and not every tool knows it."""
    standard = [entry for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    for entry in standard[1:]:
        proto.opset_import.remove(entry)
    standard[0].domain = ""
    _plain_domain(proto.graph)


def _plain_domain(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.domain == "ai.onnx":
            node.domain = ""
    for inner in subgraphs(graph.node):
        _plain_domain(inner)


def lift_constants(graph: onnx.GraphProto) -> str | None:
    """Turn the main graph's ``Constant`` nodes that hold a tensor into initializers of the same name.

    A constant that is a graph output stays a node, and so do those of subgraphs: they are small, and belong to their branch.
    """
    outputs = {output.name for output in graph.output}
    lifted = []
    for index, node in enumerate(graph.node):
        if node.op_type != "Constant" or node.output[0] in outputs:
            continue
        tensor = _constant_value(node)
        if tensor is not None:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            lifted.append(index)
    for index in reversed(lifted):
        del graph.node[index]
    return f"{_count(len(lifted), 'tensor')} in Constant nodes turned into initializers" if lifted else None


def _constant_value(node: onnx.NodeProto) -> onnx.TensorProto | None:
    for attribute in node.attribute:
        if attribute.name == "value":
            tensor = onnx.TensorProto()
            tensor.CopyFrom(attribute.t)
            return tensor
        if attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
            dtype = np.float32 if "float" in attribute.name else np.int64
            return onnx.numpy_helper.from_array(np.array(onnx.helper.get_attribute_value(attribute), dtype))
    return None


def unlist_initializers(graph: onnx.GraphProto) -> str | None:
    """Remove initializers from the graph inputs: listed there they could be fed, so no runtime may fold them."""
    stored = {tensor.name for tensor in graph.initializer} | {sparse.values.name for sparse in graph.sparse_initializer}
    listed = [entry for entry in graph.input if entry.name in stored]
    for entry in listed:
        graph.input.remove(entry)
    return f"{_count(len(listed), 'weight')} listed as graph inputs taken off the list" if listed else None


def bypass_identities(graph: onnx.GraphProto) -> str | None:
    """Let what reads a weight through ``Identity`` read the weight itself.

    That is how PyTorch writes a weight that several layers share: to a quantizer all but one of them multiply two activations, and
    the float weight is stored beside its integers. A vector becomes a copy instead of being shared (see :func:`merge_duplicates`).
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {output.name for output in graph.output}
    renamed: dict[str, str] = {}
    passed = []
    for index, node in enumerate(graph.node):
        if node.op_type != "Identity" or node.domain or node.output[0] in outputs:
            continue
        source = renamed.get(node.input[0], node.input[0])
        if source not in stored:
            continue
        if len(stored[source].dims) < 2:
            graph.initializer.add().CopyFrom(stored[source])
            stored[node.output[0]] = graph.initializer[-1]
            stored[node.output[0]].name = node.output[0]
        else:
            renamed[node.output[0]] = source
        passed.append(index)
    for index in reversed(passed):
        del graph.node[index]
    _rename_inputs(graph, renamed)
    return f"{_count(len(passed), 'Identity of a weight', 'Identities of weights')} bypassed" if passed else None


def merge_duplicates(graph: onnx.GraphProto, digests: Mapping[str, str]) -> str | None:
    """Let equal weights (type, shape and bytes) of two or more dimensions share one initializer.

    Vectors are left alone: they are small, and quantizers give a bias that two layers share the scale of only one of them.
    """
    outputs = {output.name for output in graph.output}
    first: dict[tuple[int, tuple[int, ...], str], str] = {}
    renamed: dict[str, str] = {}
    saved_bytes = 0
    for tensor in graph.initializer:
        if len(tensor.dims) < 2 or tensor.name in outputs or tensor.name not in digests:
            continue
        size_bytes = declared_bytes(tensor)
        if size_bytes <= _SMALLEST_SHARED_BYTES:
            continue
        key = (tensor.data_type, tuple(tensor.dims), digests[tensor.name])
        if first.setdefault(key, tensor.name) != tensor.name:
            renamed[tensor.name] = first[key]
            saved_bytes += size_bytes
    if not renamed:
        return None
    _rename_inputs(graph, renamed)
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name in renamed:
            del graph.initializer[index]
    return f"{_count(len(renamed), 'copy', 'copies')} of equal weights merged ({saved_bytes} bytes)"


def _rename_inputs(graph: onnx.GraphProto, renamed: Mapping[str, str]) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in renamed:
                node.input[index] = renamed[name]
    for inner in subgraphs(graph.node):
        own = {entry.name for entry in [*inner.input, *inner.initializer]} | {out for node in inner.node for out in node.output}
        visible = {name: target for name, target in renamed.items() if name not in own}
        _rename_inputs(inner, visible)


def name_nodes(graph: onnx.GraphProto) -> str | None:
    """Name the main graph's nodes that have no name, or share one, after their operator and output."""
    uses = Counter(node.name for node in graph.node)
    taken = {name for name, count in uses.items() if count == 1}
    count = 0
    for node in graph.node:
        if node.name and uses[node.name] == 1:
            continue
        base = f"{node.op_type}_{next((name for name in node.output if name), '')}"
        name = base
        suffix = 1
        while name in taken:
            suffix += 1
            name = f"{base}_{suffix}"
        node.name = name
        taken.add(name)
        count += 1
    return f"{_count(count, 'node')} named after the output (no name before, or a shared one)" if count else None


def set_ir_version(proto: onnx.ModelProto) -> str | None:
    """Keep the file format between the first that allows plain initializers and the newest that ONNX Runtime reads."""
    newest = newest_ir_version()
    declared = proto.ir_version
    proto.ir_version = max(_FIRST_IR_WITH_PLAIN_INITIALIZERS, min(declared, newest))
    if declared > newest:
        return f"file format (ir_version) {declared} written as {newest}, the newest that ONNX Runtime reads"
    return None


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"1 {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
