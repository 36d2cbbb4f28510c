"""Models that came with Q/DQ of their own: kept as they are, and completed where TensorRT wants it written otherwise.

Nothing is recalibrated. All but the last change leave every number as it was:

- uint8 around 128 becomes int8 around 0, which are the same steps;
- a bias that is stored in integers, or rounded, is stored as the float that it stands for;
- an int8 weight of an operator whose activation is float is stored as the float that it stands for;
- a DequantizeLinear of int8 without a zero point gets the 0 that it means; a scale of 0 becomes one of zeros;
- an operator whose activation is quantized gets a pair for its float weight, from the weight's own largest values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.quantize import graphs
from edgekit.quantize.weights import symmetric_int8
from edgekit.types import Array

from .graph_view import MOVES, GraphView, attributes
from .pairs import PAIR, WEIGHTED, is_dequantized, output_axis, source, through_moves

_BIASED = ("Conv", "ConvTranspose", "Gemm")


def complete(model: onnx.ModelProto) -> Counter[str]:
    """Rewrite ``model`` in place; what was done how often, in words."""
    done: Counter[str] = Counter()
    steps: tuple[Callable[[onnx.ModelProto], tuple[str, int]], ...] = (
        _signed, _dead_scales, _zero_points, _biases, _lone_weights, _float_weights,
    )  # fmt: skip
    for step in steps:
        what, count = step(model)
        if count:
            done[what] += count
    _drop_dead_pairs(model.graph)
    graphs.drop_unused(model.graph)
    return done


def _drop_dead_pairs(graph: onnx.GraphProto) -> None:
    """Q/DQ that nothing reads any more."""
    while True:
        read = graphs.consumed_names(graph)
        kept = [node for node in graph.node if node.op_type not in PAIR or read[node.output[0]]]
        if len(kept) == len(graph.node):
            return
        del graph.node[:]
        graph.node.extend(kept)


def _signed(model: onnx.ModelProto) -> tuple[str, int]:
    view, count = GraphView(model), 0
    fresh = graphs.FreshNames(model.graph)
    signed: dict[str, str] = {}
    pairs = [node for node in model.graph.node if node.op_type in PAIR and len(node.input) > 2]
    zeros = {node.input[2]: view.constant(node.input[2]) for node in pairs}
    if any(value is not None and value.dtype == np.uint8 and np.any(value != 128) for value in zeros.values()):
        return "", 0  # where some steps are others, types would not agree any more
    for node in pairs:
        value = zeros[node.input[2]]
        if value is None or value.dtype != np.uint8:
            continue
        for index, shifted in ((0, None), (2, np.zeros(value.shape, np.int8))):
            name = node.input[index]
            stored = view.constant(name) if index == 0 and node.op_type == "DequantizeLinear" else None
            if index == 0 and (stored is None or stored.dtype != np.uint8):
                continue
            if name not in signed:
                signed[name] = fresh(f"{name}_signed")
                new = shifted if shifted is not None else (np.asarray(stored).astype(np.int16) - 128).astype(np.int8)
                model.graph.initializer.append(numpy_helper.from_array(new, signed[name]))
            node.input[index] = signed[name]
        count += 1
    if count:
        del model.graph.value_info[:]
    return "uint8 around 128 written as int8 around 0", count


def _dead_scales(model: onnx.ModelProto) -> tuple[str, int]:
    view, count = GraphView(model), 0
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        stored, scale = view.stored.get(node.input[0]), view.stored.get(node.input[1])
        if stored is None or scale is None:
            continue
        values, steps = numpy_helper.to_array(stored), numpy_helper.to_array(scale)
        dead = steps == 0
        if not dead.any() or steps.ndim > 1 or len(view.readers[node.input[0]]) > 1 or len(view.readers[node.input[1]]) > 1:
            continue
        shape = [1] * values.ndim
        if steps.size > 1:
            shape[_axis(node, values.ndim)] = -1
        stored.CopyFrom(numpy_helper.from_array(np.where(dead.reshape(shape), 0, values).astype(values.dtype), stored.name))
        scale.CopyFrom(
            numpy_helper.from_array(np.where(dead, max(float(steps.max()), 1e-3), steps).astype(steps.dtype), scale.name)
        )
        count += 1
    return "scales of 0 written as zeros", count


def _zero_points(model: onnx.ModelProto) -> tuple[str, int]:
    view, count = GraphView(model), 0
    fresh = graphs.FreshNames(model.graph)
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or (len(node.input) > 2 and node.input[2]):
            continue
        shape = view.shape_of(node.input[1])
        if view.type_of(node.input[0]) != onnx.TensorProto.INT8 or shape is None or None in shape:
            continue
        name = fresh(f"{node.output[0]}_zero_point")
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.int8), name))  # type: ignore[arg-type]
        node.input[:] = [*node.input[:2], name]
        count += 1
    return "zero points of 0 written out", count


def _biases(model: onnx.ModelProto) -> tuple[str, int]:
    view, count = GraphView(model), 0
    for node in model.graph.node:
        if node.op_type in _BIASED and len(node.input) > 2 and is_dequantized(view, node.input[2]):
            count += _store(model, view, node, 2)
    return "biases stored as the floats they stand for", count


def _lone_weights(model: onnx.ModelProto) -> tuple[str, int]:
    view, count = GraphView(model), 0
    for node in model.graph.node:
        is_weighted = node.op_type in WEIGHTED and len(node.input) > 1
        if is_weighted and not is_dequantized(view, node.input[0]) and is_dequantized(view, node.input[1]):
            count += _store(model, view, node, 1)
    return "int8 weights of float activations stored as the floats they stand for", count


def _float_weights(model: onnx.ModelProto) -> tuple[str, int]:
    view, count = GraphView(model), 0
    fresh = graphs.FreshNames(model.graph)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        weight = view.stored.get(node.input[1]) if node.op_type in WEIGHTED and len(node.input) > 1 else None
        is_float = weight is not None and weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) > 1
        if weight is not None and is_float and is_dequantized(view, node.input[0]):
            grouped = node.op_type == "ConvTranspose" and graphs.attribute(node, "group", 1) > 1  # one such axis a group
            axis = None if grouped else output_axis(node, len(weight.dims))
            nodes += _pair(model, fresh, node, numpy_helper.to_array(weight), axis)
            count += 1
        nodes.append(node)
    if count:
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return "weights quantized by their own largest values, beside activations that were quantized", count


def _pair(
    model: onnx.ModelProto, fresh: graphs.FreshNames, node: onnx.NodeProto, values: Array, axis: int | None
) -> list[onnx.NodeProto]:
    made = symmetric_int8(np.asarray(values, np.float32), axis)
    name = node.input[1]
    scale, zero, stored, result = (fresh(f"{name}_{part}") for part in ("scale", "zero_point", "quantized", "dequantized"))
    model.graph.initializer.extend([numpy_helper.from_array(made.scale, scale), numpy_helper.from_array(made.zero_point, zero)])
    along: dict[str, Any] = {} if axis is None else {"axis": axis}
    node.input[1] = result
    return [
        helper.make_node("QuantizeLinear", [name, scale, zero], [stored], name=fresh(stored), **along),
        helper.make_node("DequantizeLinear", [stored, scale, zero], [result], name=fresh(result), **along),
    ]


def _store(model: onnx.ModelProto, view: GraphView, node: onnx.NodeProto, index: int) -> bool:
    """Puts the float that input ``index`` stands for in its place; False where it is computed, or moved on the way."""
    name = node.input[index]
    maker = view.makers.get(name)
    if maker is None or maker.op_type != "DequantizeLinear" or through_moves(view, name) is not maker:
        return False
    if not view.is_constant(source(view, maker)):
        return False
    quantizer = view.makers.get(maker.input[0])
    if quantizer is not None and (quantizer.op_type != "QuantizeLinear" or quantizer.op_type in MOVES):
        return False
    stored, scale = view.constant(maker.input[0] if quantizer is None else quantizer.input[0]), view.constant(maker.input[1])
    if stored is None or scale is None or scale.ndim > 1:
        return False
    shape = [1] * stored.ndim
    if scale.size > 1:
        shape[_axis(maker, stored.ndim)] = -1
    steps = scale.reshape(shape) if stored.ndim else scale.reshape(())
    zero = view.constant(maker.input[2]) if len(maker.input) > 2 and maker.input[2] else np.zeros((), np.int8)
    if zero is None:
        return False
    integers = stored.astype(np.float64)
    if quantizer is not None:
        least, most = np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max
        integers = np.clip(np.rint(stored / steps) + zero.astype(np.float64).reshape(shape if zero.size > 1 else ()), least, most)
    offset = zero.astype(np.float64).reshape(shape) if zero.size > 1 else float(zero.reshape(()))
    wanted = f"{name}_stored"
    if wanted not in view.stored:
        tensor = numpy_helper.from_array(((integers - offset) * steps).astype(scale.dtype), wanted)
        model.graph.initializer.append(tensor)
        view.stored[wanted] = tensor
    node.input[index] = wanted
    return True


def _axis(node: onnx.NodeProto, rank: int) -> int:
    axis: int = int(attributes(node).get("axis", 1))  # type: ignore[call-overload]
    return axis % max(rank, 1)
