"""Every rule that TensorRT enforces, or silently bends, checked before anything is sent to a device."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from edgekit.frontends.graph import nested_graphs
from edgekit.targets import RuleFinding

from .graph_view import GraphView
from .limits import Limits
from .rules_operators import presence, restrictions
from .rules_quantization import rules_of
from .rules_types import dimensions, formats, mixed_types, whole_file


def lint(model: onnx.ModelProto, limits: Limits) -> list[RuleFinding]:
    """What a TensorRT of ``limits`` has against ``model``, in graph order. Weights must be loaded.

    In bodies of ``If``, ``Loop`` and ``Scan`` only the presence of operators is checked.
    """
    view = GraphView(model)
    found = list(whole_file(view, limits))
    for node in model.graph.node:
        found += presence(node, limits)
        found += restrictions(view, node)
        found += dimensions(view, node)
        found += mixed_types(view, node)
        found += formats(view, node, limits)
        for rule in rules_of(node):
            found += rule(view, node, limits)
    for body in nested_graphs(model.graph.node):
        for node in body.node:
            found += presence(node, limits)
    return list(dict.fromkeys(found))


def errors(findings: Sequence[RuleFinding]) -> list[RuleFinding]:
    """Those that make the difference between right and wrong."""
    return [finding for finding in findings if finding.severity == "error"]
