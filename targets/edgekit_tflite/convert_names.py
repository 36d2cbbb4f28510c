"""Names that survive a conversion: the converter rewrites what it does not like, and two tensors may then share one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_UNSAFE = re.compile(r"[^A-Za-z0-9_./-]")


def safe_names(proto: onnx.ModelProto) -> dict[str, str]:
    """{name of every tensor of the main graph: the name it gets}, unique also where the first is not safe."""
    graph = proto.graph
    names = [value.name for values in (graph.input, graph.output, graph.initializer) for value in values]
    names += [name for node in graph.node for name in (*node.input, *node.output) if name]
    safe: dict[str, str] = {}
    taken = {name for name in names if not _UNSAFE.search(name)}
    for name in dict.fromkeys(names):
        candidate = _UNSAFE.sub("_", name)
        while candidate != name and candidate in taken:
            candidate += "_"
        taken.add(candidate)
        safe[name] = candidate
    return safe


def rename(proto: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """A copy with other names of tensors."""
    import onnx

    renamed = onnx.ModelProto()
    renamed.CopyFrom(proto)
    graph = renamed.graph
    for values in (graph.input, graph.output, graph.initializer, graph.value_info):
        for value in values:
            value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for index, name in enumerate(tensors):
                tensors[index] = names.get(name, name)
        node.name = next((name for name in node.output if name), node.name)
    return renamed
