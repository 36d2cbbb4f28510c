"""Rewrites of a float graph that compute the same and are easier to quantize. Each works in place and says whether it did anything.

They need the normalised ONNX with its weights loaded, and leave every NodeId but those of what they take away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..types import NodeId
from . import graphs

if TYPE_CHECKING:
    import onnx

    from ..model import Model
    from .weights import Floats

_SWEEPS = 20  # of equalization: chains of layers settle within a few
_SETTLED = 1e-3  # no channel was scaled by more than this in a sweep
_MOST = 1e3  # a channel is scaled by no more than this, up or down, in a sweep


def fold_batch_norms(model: onnx.ModelProto) -> bool:
    """Put a ``BatchNormalization`` into the weights and bias of the ``Conv``, ``ConvTranspose`` or ``Gemm`` in front of it.

    Only one that nothing else reads, in inference, with constants that nothing else uses. Its NodeId goes; what read its output
    reads the operator's. A normalization whose output is the graph's own stays.
    """
    graph = model.graph
    view = _View(graph)
    outputs = {value.name for value in graph.output}
    gone: dict[NodeId, NodeId] = {}
    for norm in graph.node:
        if norm.op_type != "BatchNormalization" or graphs.attribute(norm, "training_mode", 0) or norm.output[0] in outputs:
            continue
        operator = view.made_by.get(norm.input[0])
        if operator is None or operator.op_type not in ("Conv", "ConvTranspose", "Gemm") or not view.owns(operator, norm.input[0]):
            continue
        if not all(name in view.constants for name in norm.input[1:5]):
            continue
        gamma, beta, mean, variance = (view.array(name).astype(np.float64) for name in norm.input[1:5])
        factor = gamma / np.sqrt(variance + graphs.attribute(norm, "epsilon", 1e-5))
        if operator.op_type == "Gemm" and (graphs.attribute(operator, "beta", 1.0) != 1.0 or not view.has_plain_bias(operator)):
            continue
        view.scale_outputs(operator, factor, shift=beta - mean * factor)
        gone[norm.output[0]] = norm.input[0]
    kept = [node for node in graph.node if graphs.node_id(node) not in gone]
    if len(kept) == len(graph.node):
        return False
    del graph.node[:]
    graph.node.extend(kept)
    _read_instead(graph, gone)
    graphs.drop_unused(graph)
    return True


def equalize(model: onnx.ModelProto) -> bool:
    """Scale channels between two convolutions so that the weights of both span alike (Nagel et al., "Data-Free Quantization Through
    Weight Equalization and Bias Correction", 2019).

    A channel may be scaled where nothing but a ReLU, or nothing at all, stands between a convolution and the only reader of what it
    puts out: a ReLU of ``s * x`` is ``s`` times that of ``x``. Ranges of activations change: calibrate again.
    """
    view = _View(model.graph)
    pairs = view.pairs()
    changed = False
    for _ in range(_SWEEPS):
        largest = max((abs(view.equalize(first, second) - 1.0) for first, second in pairs), default=0.0)
        changed = changed or largest > _SETTLED
        if largest <= _SETTLED:
            break
    return changed


#: By the name that build options use.
PASSES: dict[str, Callable[[onnx.ModelProto], bool]] = {"batch-norm": fold_batch_norms, "equalize": equalize}


class _View:
    """A graph with its constants at hand, and who makes and reads what."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = graphs.float_initializers(graph)
        self.counts = graphs.consumed_names(graph)
        self.made_by = {name: node for node in graph.node for name in node.output if name}
        self.readers = {name: node for node in graph.node for name in node.input if name}
        self.fresh = graphs.FreshNames(graph)

    def array(self, name: str) -> Floats:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self.constants[name]), np.float32)

    def store(self, name: str, value: Floats) -> None:
        from onnx import numpy_helper

        self.constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))

    def owns(self, node: onnx.NodeProto, output: str) -> bool:
        """Nothing else reads ``output``, and the weight and bias of ``node`` are constants of its alone."""
        names = [name for name in node.input[1:3] if name]
        return self.counts[output] == 1 and all(name in self.constants and self.counts[name] == 1 for name in names)

    def has_plain_bias(self, node: onnx.NodeProto) -> bool:
        channels = graphs.channels(node, self.constants[node.input[1]])[1]
        return len(node.input) < 3 or not node.input[2] or list(self.constants[node.input[2]].dims) == [channels]

    def scale_outputs(
        self, node: onnx.NodeProto, factor: np.typing.NDArray[np.float64], shift: np.typing.NDArray[np.float64] | None = None
    ) -> None:
        """Multiply what ``node`` puts out by ``factor``, one a channel, and add ``shift``."""
        weight = self.array(node.input[1]).astype(np.float64)
        if node.op_type == "ConvTranspose":
            group = int(graphs.attribute(node, "group", 1))
            by_group = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
            scaled = by_group * factor.reshape(group, 1, -1, *(1,) * (weight.ndim - 2))
            weight = scaled.reshape(weight.shape)
        elif node.op_type == "Gemm" and not graphs.attribute(node, "transB", 0):
            weight = weight * factor
        else:
            weight = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
        self.store(node.input[1], weight.astype(np.float32))
        if len(node.input) > 2 and node.input[2]:
            bias = self.array(node.input[2]).astype(np.float64) * factor + (0.0 if shift is None else shift)
            self.store(node.input[2], bias.astype(np.float32))
        elif shift is not None:
            add_bias(self.graph, node, shift.astype(np.float32), self.fresh)

    # ------------------------------------------------------------ equalization
    def pairs(self) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
        """Convolutions that follow each other, and whose constants are their own."""
        found = []
        for first in self.graph.node:
            if not self.can_be_scaled(first) or not self.owns(first, first.output[0]):
                continue
            second = self.readers.get(first.output[0])
            if second is not None and second.op_type == "Relu" and self.counts[second.output[0]] == 1:
                second = self.readers.get(second.output[0])
            if second is not None and self.can_be_scaled(second) and self.counts[second.input[1]] == 1:
                found.append((first, second))
        return found

    def can_be_scaled(self, node: onnx.NodeProto) -> bool:
        if node.op_type != "Conv" or not graphs.is_standard(node) or node.input[1] not in self.constants:
            return False
        return int(graphs.attribute(node, "group", 1)) == 1 or graphs.is_depthwise(node, self.constants)

    def equalize(self, first: onnx.NodeProto, second: onnx.NodeProto) -> float:
        """Scale the channels between the two; the factor that is furthest from 1."""
        made, read = self.array(first.input[1]), self.array(second.input[1])
        axis = 0 if graphs.is_depthwise(second, self.constants) else 1
        made_range = np.abs(made).reshape(made.shape[0], -1).max(axis=1).astype(np.float64)
        read_range = np.abs(np.moveaxis(read, axis, 0)).reshape(read.shape[axis], -1).max(axis=1).astype(np.float64)
        if made_range.shape != read_range.shape:
            return 1.0  # a depthwise convolution that makes several channels of one
        alive = (made_range > 0) & (read_range > 0)
        factor = np.ones_like(made_range)
        factor[alive] = np.clip(np.sqrt(read_range[alive] / made_range[alive]), 1 / _MOST, _MOST)
        self.scale_outputs(first, factor)
        shape = [-1 if index == axis else 1 for index in range(read.ndim)]
        self.store(second.input[1], (read / factor.reshape(shape)).astype(np.float32))
        return float(factor[np.argmax(np.abs(np.log(factor)))])


def rewritten(model: Model, names: Sequence[str]) -> onnx.ModelProto:
    """The normalised ONNX of ``model``, weights loaded, after the passes ``names``."""
    from ..frontends.onnx_frontend import read_raised

    proto = read_raised(model)
    for name in names:
        PASSES[name](proto)
    return proto


def add_bias(graph: onnx.GraphProto, node: onnx.NodeProto, bias: Floats, fresh: graphs.FreshNames) -> None:
    """Give a ``Conv`` or ``Gemm`` that has none (or another) the bias ``bias`` of its own, whole: a ``beta`` would scale it."""
    from onnx import numpy_helper

    name = fresh(f"{graphs.node_id(node)}_bias")
    graph.initializer.append(numpy_helper.from_array(bias, name))
    inputs = [*node.input, ""][:2]
    del node.input[:]
    node.input.extend([*inputs, name])
    kept = [found for found in node.attribute if found.name != "beta"]
    del node.attribute[:]
    node.attribute.extend(kept)


def _read_instead(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    from ..frontends.graph import subgraphs

    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for body in subgraphs([node]):
            _read_instead(body, names)
