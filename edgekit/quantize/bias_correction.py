"""Bias correction: what quantization shifts an operator's output by on average, taken off its bias.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, with means measured on calibration
data: an operator y = W x + b that computes with W' and x' is off by W' E[x'] - W E[x] a channel. Each operator is looked at by
itself, with float activations in front of it, so that no shift is corrected twice. Border effects of padding are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ..types import Array, Feed, NodeId
from . import graphs
from .affine import affine_of, fake_quantize
from .passes import add_bias
from .types import Placement, QuantizedOperator, Range
from .weights import symmetric_int8

if TYPE_CHECKING:
    import onnx

    from .affine import AffineParameters

    Means = dict[tuple[str, int], tuple[Array, Array]]


def correct_biases(
    model: onnx.ModelProto,
    operators: Sequence[QuantizedOperator],
    placement: Placement,
    ranges: Mapping[str, Range],
    feeds: Iterable[Feed],
) -> list[NodeId]:
    """Correct the float biases of ``operators`` of ``model``, in place, before Q/DQ is emitted; returns whose were.

    Those without a bias are given one (``MatMul`` apart, which has none to give): plan anew.

    Raises:
        ModelError: the model does not run with its activations exposed.
        DataError: it cannot take a feed.
    """
    nodes = {graphs.node_id(node): node for node in model.graph.node}
    chosen = [one for one in operators if one.weight is not None and one.operator != "ConvTranspose"]
    wanted = {(one.activations[0], _axis(one)) for one in chosen}
    means = _channel_means(model, wanted, placement, ranges, feeds)
    constants = graphs.float_initializers(model.graph)
    fresh = graphs.FreshNames(model.graph)
    done = []
    for one in chosen:
        exact, rounded = means[one.activations[0], _axis(one)]
        if _correct(model.graph, nodes, one, _shift(one, nodes[one.node], constants, placement, exact, rounded), constants, fresh):
            done.append(one.node)
    graphs.drop_unused(model.graph)
    return done


def _axis(operator: QuantizedOperator) -> int:
    return 1 if operator.operator == "Conv" else -1


def _channel_means(
    model: onnx.ModelProto,
    wanted: set[tuple[str, int]],
    placement: Placement,
    ranges: Mapping[str, Range],
    feeds: Iterable[Feed],
) -> Means:
    """{(tensor, axis): (mean a channel in float, and in the steps of its range)}, float64."""
    from .exposing import expose

    sums: dict[tuple[str, int], list[Array]] = {}
    counts: dict[tuple[str, int], int] = dict.fromkeys(wanted, 0)
    steps = {
        name: affine_of(ranges[name], placement.activation_type, symmetric=placement.activation_symmetric) for name, _ in wanted
    }
    inputs = {value.name for value in model.graph.input}
    with expose(model, sorted({name for name, _ in wanted} - inputs)) as exposed:
        for feed in feeds:
            for values in chain([feed], exposed.run(feed)):
                for key in [key for key in wanted if key[0] in values]:
                    name, axis = key
                    pair = _channel_sums(values[name], axis, steps[name])
                    sums[key] = [old + new for old, new in zip(sums[key], pair, strict=True)] if key in sums else pair
                    counts[key] += values[name].size // values[name].shape[axis]
                del values  # before the next group is made: see ``ExposedModel.run``
    return {key: (pair[0] / max(1, counts[key]), pair[1] / max(1, counts[key])) for key, pair in sums.items()}


def _channel_sums(value: Array, axis: int, steps: AffineParameters) -> list[Array]:
    by_channel = np.moveaxis(value, axis, 0).reshape(value.shape[axis], -1)
    return [each.sum(axis=1, dtype=np.float64) for each in (by_channel, fake_quantize(by_channel, steps))]


def _shift(
    operator: QuantizedOperator,
    node: onnx.NodeProto,
    constants: Mapping[str, onnx.TensorProto],
    placement: Placement,
    exact: Array,
    rounded: Array,
) -> Array:
    """What quantization adds to each output channel on average, float64."""
    from onnx import numpy_helper

    assert operator.weight is not None, "an operator without a weight has no bias"
    weight = np.asarray(numpy_helper.to_array(constants[operator.weight]), np.float32)
    stored = symmetric_int8(weight, operator.weight_axis, bits=placement.weight_bits)
    scale = stored.scale.astype(np.float64)
    if operator.weight_axis is not None:
        scale = scale.reshape([-1 if index == operator.weight_axis % weight.ndim else 1 for index in range(weight.ndim)])
    return _product(node, stored.stored * scale, rounded) - _product(node, weight.astype(np.float64), exact)


def _product(node: onnx.NodeProto, weight: Array, mean: Array) -> Array:
    """The mean output of an operator whose input has this mean in each channel, everywhere."""
    result: Array
    if node.op_type == "Conv":
        group = int(graphs.attribute(node, "group", 1))
        taps = weight.reshape(group, weight.shape[0] // group, weight.shape[1], -1).sum(axis=3)
        result = np.einsum("goi,gi->go", taps, mean.reshape(group, -1)).reshape(-1)
    else:
        result = mean @ (weight.T if graphs.attribute(node, "transB", 0) else weight) * graphs.attribute(node, "alpha", 1.0)
    return result


def _correct(
    graph: onnx.GraphProto,
    nodes: Mapping[NodeId, onnx.NodeProto],
    operator: QuantizedOperator,
    shift: Array,
    constants: Mapping[str, onnx.TensorProto],
    fresh: graphs.FreshNames,
) -> bool:
    from onnx import numpy_helper

    if not np.isfinite(shift).all():
        return False
    node = nodes[operator.node]
    name = operator.bias or (node.input[2] if len(node.input) > 2 else "")
    if name and not (name in constants and graphs.is_one_a_channel(constants[name], len(shift))):
        return False
    old = np.asarray(numpy_helper.to_array(constants[name]), np.float32) if name else np.zeros(len(shift), np.float32)
    bias = (np.broadcast_to(old.reshape(-1), shift.shape) - shift).astype(np.float32)
    if operator.bias_add is not None:
        corrected = fresh(f"{operator.node}_bias")
        graph.initializer.append(numpy_helper.from_array(bias, corrected))
        adding = nodes[operator.bias_add]
        adding.input[:] = [corrected if value == name else value for value in adding.input]
    elif node.op_type == "MatMul":
        return False
    else:
        add_bias(graph, node, bias, fresh)
    return True
