"""Compression that shows in the structure: factorized layers, one weight with several users, equal weights stored twice."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from ..frontends.graph import node_id
from ..frontends.tensors import content, declared_bytes, is_external
from .types import Finding
from .weights import SHOWN, Scope, Weight, count_of, scopes

MIN_DUPLICATE_ELEMENTS = 256  # smaller equal tensors are ordinary constants
_QUANTIZE = frozenset({"QuantizeLinear", "DequantizeLinear"})


def find_shared(weights: Sequence[Weight]) -> Finding | None:
    """Weights that two or more operators use: one copy serves several layers."""
    shared = sorted((w for w in weights if len(w.users) > 1), key=lambda w: (-w.rows.size, w.name))
    if not shared:
        return None
    saved = sum(w.stored_bytes * (len(w.users) - 1) for w in shared)
    uses = sum(len(w.users) for w in shared)
    return Finding(
        "shared-weights",
        f"{count_of(len(shared), 'weight tensor')} for {uses} operators; unshared, {saved} bytes more",
        {
            "tensors": len(shared),
            "uses": uses,
            "saved_bytes": saved,
            "largest": [{"tensor": w.name, "nodes": list(w.users[:SHOWN]), "uses": len(w.users)} for w in shared[:SHOWN]],
        },
    )


def find_duplicated(proto: onnx.ModelProto) -> Finding | None:
    """Equal tensors (type, shape and bytes) of two or more dimensions that are stored more than once."""
    alike: dict[tuple[int, tuple[int, ...]], list[tuple[str, onnx.TensorProto]]] = defaultdict(list)
    for label, tensor in _stored_tensors(proto):
        if len(tensor.dims) >= 2 and math.prod(tensor.dims) >= MIN_DUPLICATE_ELEMENTS and not is_external(tensor):
            alike[tensor.data_type, tuple(tensor.dims)].append((label, tensor))
    groups: list[tuple[int, list[str]]] = []  # (bytes of one copy, names)
    for tensors in alike.values():
        if len(tensors) < 2:
            continue
        same: dict[bytes, list[tuple[str, onnx.TensorProto]]] = defaultdict(list)
        for label, tensor in tensors:
            same[hashlib.sha256(content(tensor)).digest()].append((label, tensor))
        groups += [
            (declared_bytes(copies[0][1]), sorted(label for label, _ in copies))
            for copies in same.values()
            if len(copies) > 1 and not _is_constant(copies[0][1])
        ]
    if not groups:
        return None
    groups.sort(key=lambda group: (-group[0], group[1]))
    extra = sum(len(names) - 1 for _, names in groups)
    wasted = sum(size * (len(names) - 1) for size, names in groups)
    return Finding(
        "duplicated-weights",
        f"{extra} of the stored tensors repeat others byte for byte ({wasted} bytes)",
        {
            "tensors": extra,
            "wasted_bytes": wasted,
            "largest": [{"tensors": names[:SHOWN], "copies": len(names), "bytes_each": size} for size, names in groups[:SHOWN]],
        },
    )


def _stored_tensors(proto: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    for scope in scopes(proto.graph):
        own = {tensor.name for tensor in scope.graph.initializer} | {output for node in scope.graph.node for output in node.output}
        yield from ((name, tensor) for name, tensor in scope.constants.items() if name in own)


def _is_constant(tensor: onnx.TensorProto) -> bool:
    """True when all elements are equal: a mask or a filling, not a weight."""
    values = numpy_helper.to_array(tensor)
    return bool((values == values.flat[0]).all())


# ---------------------------------------------------------------- factorized pairs
@dataclass(frozen=True)
class _Linear:
    """A bias-free or biased linear operator with a constant weight: inputs, outputs and kernel (ones for a matrix)."""

    node: str
    tensor: str
    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    source: str
    has_bias: bool

    @property
    def parameters(self) -> int:
        return self.inputs * self.outputs * math.prod(self.kernel)


def find_factorized(proto: onnx.ModelProto, weights: Sequence[Weight]) -> Finding | None:
    """Pairs of linear operators with nothing between them that hold fewer weights than the one operator they are equal to.

    The first has no bias and one consumer. Of two convolutions, each kernel axis has extent 1 in one of them (1x1 beside k x k, or
    k x 1 beside 1 x k) and neither is grouped: a depthwise-separable convolution is an architecture and is not taken for one.
    """
    pairs = [pair for scope in scopes(proto.graph) for pair in _pairs(scope, weights)]
    if not pairs:
        return None
    saved = sum(_merged_parameters(a, b) - a.parameters - b.parameters for a, b in pairs)
    pairs.sort(key=lambda pair: (-_merged_parameters(*pair), pair[0].node))
    return Finding(
        "factorized",
        f"{count_of(len(pairs), 'pair')} of linear operators with an inner dimension below break-even: low-rank factors",
        {
            "pairs": len(pairs),
            "saved_parameters": saved,
            "largest": [
                {
                    "nodes": [a.node, b.node],
                    "tensors": [a.tensor, b.tensor],
                    "inner": a.outputs,
                    "break_even": _merged_parameters(a, b) * a.outputs // (a.parameters + b.parameters),
                }
                for a, b in pairs[:SHOWN]
            ],
        },
    )


def _pairs(scope: Scope, weights: Sequence[Weight]) -> Iterator[tuple[_Linear, _Linear]]:
    by_node = {user: weight for weight in weights for user in weight.users}
    outputs = {output.name for output in scope.graph.output}
    linears = {node_id(n): linear for n in scope.graph.node if (linear := _linear(n, by_node, scope)) is not None}
    for second in linears.values():
        name = second.source
        while _is_private(name, scope, outputs) and scope.producers[name].op_type in _QUANTIZE:
            name = scope.producers[name].input[0]
        first = linears.get(name)
        if first is None or first.has_bias or not _is_private(name, scope, outputs):
            continue
        if first.outputs == second.inputs and _is_below_break_even(first, second):
            yield first, second


def _is_private(name: str, scope: Scope, outputs: set[str]) -> bool:
    return name in scope.producers and name not in outputs and len(scope.consumers.get(name, [])) == 1


def _is_below_break_even(first: _Linear, second: _Linear) -> bool:
    if len(first.kernel) != len(second.kernel) or not all(1 in axis for axis in zip(first.kernel, second.kernel, strict=True)):
        return False
    return first.parameters + second.parameters < _merged_parameters(first, second)


def _merged_parameters(first: _Linear, second: _Linear) -> int:
    kernel = [a + b - 1 for a, b in zip(first.kernel, second.kernel, strict=True)]
    return first.inputs * second.outputs * math.prod(kernel)


def _linear(node: onnx.NodeProto, by_node: dict[str, Weight], scope: Scope) -> _Linear | None:
    weight = by_node.get(node_id(node))
    if weight is None or node.op_type not in {"Conv", "Gemm", "MatMul"}:
        return None
    outputs, positions, inputs = weight.grouped.shape
    attributes: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if attributes.get("group", 1) != 1:
        return None
    kernel = tuple(attributes.get("kernel_shape", ())) if node.op_type == "Conv" else ()
    if math.prod(kernel) != positions:
        kernel = (positions,)
    bias = node.input[2] if len(node.input) > 2 and node.op_type != "MatMul" else ""
    return _Linear(node_id(node), weight.name, inputs, outputs, kernel, node.input[0], bool(bias) and not _is_zero(bias, scope))


def _is_zero(name: str, scope: Scope) -> bool:
    tensor = scope.constants.get(name)
    return tensor is not None and not np.any(numpy_helper.to_array(tensor))
