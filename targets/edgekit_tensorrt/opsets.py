"""Fitting a model to the opset that a device's TensorRT reads."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper, numpy_helper, version_converter

from edgekit.errors import ModelError
from edgekit.frontends.graph import all_nodes, node_id, opset_of, weights_as_inputs
from edgekit.quantize import graphs

from .limits import Limits

#: Attributes that a later version of an operator added, and the value with which it is the earlier one.
_ADDED: dict[str, dict[str, Any]] = {
    "Reshape": {"allowzero": 0}, "LSTM": {"layout": 0}, "GRU": {"layout": 0}, "RNN": {"layout": 0}, "Shape": {"start": 0},
    "BatchNormalization": {"training_mode": 0}, "ScatterND": {"reduction": b"none"}, "ScatterElements": {"reduction": b"none"},
    "Cast": {"saturate": 1}, "QuantizeLinear": {"saturate": 1}, "AveragePool": {"dilations": None},
    "Resize": {"antialias": 0, "axes": None, "keep_aspect_ratio_policy": b"stretch"},
}  # fmt: skip
#: Operators whose later versions, from opset 13 to 20, only take more types, or have such attributes.
_SAME = frozenset(
    [
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Relu",
        "CumSum",
        "Identity",
        "Where",
        "Greater",
        "Less",
        "GreaterOrEqual",
        "LessOrEqual",
        "Equal",
        "LeakyRelu",
        "PRelu",
        "If",
        "Loop",
        "Scan",
        "HardSwish",
        "Constant",
        "ConstantOfShape",
        "Size",
        "QuantizeLinear",
        "DequantizeLinear",
        "IsInf",
        "IsNaN",
        "Mish",
    ]
) | set(_ADDED)
#: Their axes were an attribute up to opset 17.
_REDUCTIONS = frozenset(
    [
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceProd",
        "ReduceSumSquare",
    ]
)
_FIRST, _LAST = 13, 20  # what is known here


def lower(model: onnx.ModelProto, most: int) -> None:
    """Declare opset ``most`` for ``model`` in place, where its operators are the same there; nothing to do where it has less.

    Raises:
        ModelError: an operator is another one there; names it. ``model`` is then as it was.
    """
    opset = opset_of(model)
    if opset is None or opset <= most:
        return
    newer = [node for node in all_nodes(model) if node.domain in ("", "ai.onnx") and _since(node, opset) > most]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer if len(tensor.dims) == 1}
    for node in newer:
        if opset > _LAST or most < _FIRST or not _is_the_same(node, most, constants):
            raise ModelError(
                f"the model takes opset {opset}, and TensorRT on the device reads up to {most}",
                why=f"{node.op_type} {node_id(node)} is another operator there",
                hint=f"export the model with opset {most}, or update TensorRT on the device",
            )
    for node in newer:
        if node.op_type in _REDUCTIONS and len(node.input) > 1:
            node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in constants[node.input[1]]]))
            del node.input[1:]
        known = onnx.defs.get_schema(node.op_type, most, "").attributes
        kept = [each for each in node.attribute if each.name in known]
        del node.attribute[:]
        node.attribute.extend(kept)
    _declare(model, most)


def fit(model: onnx.ModelProto, limits: Limits) -> None:
    """Lower ``model`` to what the device's TensorRT reads; where that is not known, to what every release does, if it can be.

    Raises:
        ModelError: a known release does not read it.
    """
    try:
        lower(model, limits.max_opset)
    except ModelError:
        if limits.release is not None:
            raise


def _since(node: onnx.NodeProto, opset: int) -> int:
    try:
        return int(onnx.defs.get_schema(node.op_type, opset, "").since_version)
    except onnx.defs.SchemaError:
        return opset


def _is_the_same(node: onnx.NodeProto, most: int, constants: dict[str, Any]) -> bool:
    if node.op_type in _REDUCTIONS:
        if most >= 18 or (len(node.input) < 2 and graphs.attribute(node, "noop_with_empty_axes", 0)):
            return False
        return len(node.input) < 2 or (node.input[1] in constants and constants[node.input[1]].size > 0)
    if node.op_type not in _SAME:
        return False
    known = onnx.defs.get_schema(node.op_type, most, "").attributes
    given = {each.name: helper.get_attribute_value(each) for each in node.attribute if each.name not in known}
    shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
    if shape is not None and (shape != 0).all():
        given.pop("allowzero", None)  # it says what a 0 means, and there is none
    return all(name in _ADDED.get(node.op_type, {}) and value == _ADDED[node.op_type][name] for name, value in given.items())


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
