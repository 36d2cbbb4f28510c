"""A graph as the rules look at it: who makes a tensor, who reads it, what is constant, and of which type it is."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.frontends.graph import node_id, subgraphs, without_weights
from edgekit.types import Array

#: Operators that put out values of their first input, unchanged, perhaps in another order.
MOVES = frozenset(
    {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "MaxPool", "DepthToSpace", "SpaceToDepth", "Slice"}
)
FLOATS = frozenset(
    {
        onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE,
        onnx.TensorProto.FLOAT8E4M3FN, onnx.TensorProto.FLOAT8E5M2,
    }
)  # fmt: skip


class GraphView:
    """The main graph of ``model``. Shapes and types come from shape inference, as far as that goes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model, self.graph = model, model.graph
        self.stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self.makers: dict[str, onnx.NodeProto] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            self.makers.update((name, node) for name in node.output if name)
            for name in dict.fromkeys(node.input):
                self.readers[name].append(node)
        self.outputs = {value.name for value in model.graph.output}
        self._values = _typed(model)
        self._constants: dict[str, Array | None] = {}

    def type_of(self, name: str) -> int | None:
        """The element type (``TensorProto.DataType``), None where it is not known."""
        if name in self.stored:
            return int(self.stored[name].data_type)
        value = self._values.get(name)
        return int(value.type.tensor_type.elem_type) or None if value is not None else None

    def shape_of(self, name: str) -> tuple[int | None, ...] | None:
        """Sizes, None for a free one; None where even the rank is not known."""
        if name in self.stored:
            return tuple(self.stored[name].dims)
        value = self._values.get(name)
        if value is None or not value.type.tensor_type.HasField("shape"):
            return None
        return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim)

    def is_constant(self, name: str) -> bool:
        """Stored in the file, perhaps behind operators that only move it."""
        maker = self.makers.get(name)
        if name in self.stored or maker is None:
            return name in self.stored
        return maker.op_type == "Constant" or (maker.op_type in MOVES | {"Cast"} and self.is_constant(maker.input[0]))

    def constant(self, name: str) -> Array | None:
        """The value of a stored tensor or of a ``Constant`` node; None for anything else, and for types numpy does not have."""
        if name not in self._constants:
            self._constants[name] = self._read(name)
        return self._constants[name]

    def _read(self, name: str) -> Array | None:
        tensor = self.stored.get(name)
        maker = self.makers.get(name)
        if tensor is None and maker is not None and maker.op_type == "Identity":
            return self.constant(maker.input[0])
        if tensor is None and maker is not None and maker.op_type == "Constant":
            value = {attribute.name: helper.get_attribute_value(attribute) for attribute in maker.attribute}
            tensor = value.get("value")
            if tensor is None:
                simple = next((found for key, found in value.items() if key.startswith("value_")), None)
                return None if simple is None or isinstance(simple, (bytes, str)) else np.asarray(simple)
        if tensor is None:
            return None
        try:
            return numpy_helper.to_array(tensor)
        except (TypeError, ValueError):
            return None


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def captured(node: onnx.NodeProto) -> set[str]:
    """Names that the bodies of ``node`` read, their own included."""
    names: set[str] = set()
    for body in subgraphs([node]):
        names.update(value.name for value in body.output)
        for inner in body.node:
            names.update((*inner.input, *captured(inner)))
    return names


def _typed(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Every tensor's shape and type. ``DequantizeLinear`` puts out the type of its scale, as it does in TensorRT for every
    opset; ONNX says so from opset 19 on.
    """
    light, taken = without_weights(model, over_bytes=4096)
    for tensor in taken:
        light.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    found = _inferred(light)
    halves = {tensor.name for tensor in light.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    half_scales = any(node.op_type == "DequantizeLinear" and node.input[1] in halves for node in light.graph.node)
    for entry in light.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version < 19 and half_scales:
            entry.version = 19
            del light.graph.value_info[:]
            found |= _inferred(light)
    return found


def _inferred(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    try:
        inferred = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, RuntimeError):  # an operator that nobody knows; what is declared stands
        inferred = model.graph
    return {value.name: value for value in (*inferred.output, *inferred.value_info, *inferred.input)}


__all__ = ["FLOATS", "MOVES", "GraphView", "attributes", "captured", "node_id"]
