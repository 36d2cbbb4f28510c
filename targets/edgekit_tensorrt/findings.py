"""Findings in the words of the linter."""

from __future__ import annotations

import onnx

from edgekit.frontends.graph import node_id
from edgekit.targets import RuleFinding


def error(rule: str, node: onnx.NodeProto | None, what: str, fix: str) -> RuleFinding:
    """TensorRT refuses it, or computes something else than the file says."""
    return RuleFinding(rule, "error", node_id(node) if node else "", node.op_type if node else "", what, fix)


def warning(rule: str, node: onnx.NodeProto | None, what: str, fix: str) -> RuleFinding:
    """Right, but slower than it could be, or dependent on what is not known here."""
    return RuleFinding(rule, "warning", node_id(node) if node else "", node.op_type if node else "", what, fix)
