"""Fitting a model to the opset that a device's TensorRT reads."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper, version_converter

from edgekit.errors import ModelError
from edgekit.frontends.graph import all_nodes, node_id, opset_of, weights_as_inputs

#: Attributes that a later version of an operator added, and the value with which it is the earlier one.
_ADDED: dict[str, dict[str, Any]] = {
    "Reshape": {"allowzero": 0}, "LSTM": {"layout": 0}, "GRU": {"layout": 0}, "RNN": {"layout": 0}, "Shape": {"start": 0},
    "BatchNormalization": {"training_mode": 0}, "ScatterND": {"reduction": b"none"}, "ScatterElements": {"reduction": b"none"},
}  # fmt: skip
#: Operators whose later versions, up to opset 17, only take more types, or have such attributes.
_SAME_SINCE_13 = frozenset(
    "Add Sub Mul Div Pow Relu CumSum Identity Where Greater Less GreaterOrEqual LessOrEqual LeakyRelu PRelu If Loop Scan HardSwish "
    "BatchNormalization Reshape LSTM GRU RNN Shape ScatterND ScatterElements".split()
)


def lower(model: onnx.ModelProto, most: int) -> None:
    """Declare opset ``most`` for ``model`` in place, where its operators are the same there; nothing to do where it has less.

    Raises:
        ModelError: an operator is another one there; names it.
    """
    opset = opset_of(model)
    if opset is None or opset <= most:
        return
    for node in all_nodes(model):
        if node.domain not in ("", "ai.onnx"):
            continue
        try:
            since = onnx.defs.get_schema(node.op_type, opset, "").since_version
        except onnx.defs.SchemaError:
            since = opset
        if since <= most:
            continue
        added = _ADDED.get(node.op_type, {})
        given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if opset > 17 or most < 13 or node.op_type not in _SAME_SINCE_13 or any(given.get(k, v) != v for k, v in added.items()):
            raise ModelError(
                f"the model takes opset {opset}, and TensorRT on the device reads up to {most}",
                why=f"{node.op_type} {node_id(node)} is another operator there",
                hint=f"export the model with opset {most}, or update TensorRT on the device",
            )
        kept = [attribute for attribute in node.attribute if attribute.name not in added]
        del node.attribute[:]
        node.attribute.extend(kept)
    _declare(model, most)


def raised(model: onnx.ModelProto, least: int) -> onnx.ModelProto | None:
    """``model`` at opset ``least`` or later, or None where that cannot be written; the NodeIds stay."""
    opset = opset_of(model)
    if opset is not None and opset >= least:
        return model
    light, weights = weights_as_inputs(model)
    try:
        made = version_converter.convert_version(light, least)
    except (RuntimeError, ValueError):
        return None
    outputs = {name for node in made.graph.node for name in node.output}
    if any(node_id(node) not in outputs for node in model.graph.node):
        return None
    made.graph.initializer.extend(weights)
    inputs = {value.name for value in model.graph.input}
    kept = [value for value in made.graph.input if value.name in inputs]
    del made.graph.input[:]
    made.graph.input.extend(kept)
    return made


def _declare(model: onnx.ModelProto, opset: int) -> None:
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = opset
