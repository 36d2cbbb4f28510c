"""TensorRT's rules of Q/DQ, one small function each: ``rule(view, node, limits)`` yields what it has against one node.

Sources: NVIDIA TensorRT, "Working with Quantized Types"; ``QuantDequantLinearHelper`` of the parser (onnx/onnx-tensorrt); and what
tensorrt-rtx 1.7 did with the models of ``tests/support/tensorrt_models.py``, which is asserted there.
"""

# ruff: noqa: ARG001 - every rule has the same arguments

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx

from edgekit.targets import RuleFinding

from .findings import error, warning
from .graph_view import MOVES, GraphView, attributes
from .limits import Limits
from .pairs import PAIR, WEIGHTED, integer_of, is_bias, is_dequantized, output_axis, source, weight_pair, weight_source

Rule = Callable[[GraphView, onnx.NodeProto, Limits], Iterator[RuleFinding]]

_T = onnx.TensorProto
#: Below, a number has lost digits, and kernels flush it to zero.
_LEAST_NORMAL = {np.dtype(np.float32): float(np.finfo(np.float32).tiny), np.dtype(np.float16): float(np.finfo(np.float16).tiny)}
_HAVE_KERNELS = {_T.INT8, _T.INT4, _T.FLOAT8E4M3FN, _T.FLOAT8E5M2, 23}  # 23: FLOAT4E2M1, which not every onnx names


def zero_point(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    if len(node.input) < 3 or not node.input[2]:
        return
    if not view.is_constant(node.input[2]):
        yield error("zero-point", node, "its zero point is computed", "store a zero point of 0 in the file")
        return
    value = view.constant(node.input[2])
    if value is not None and np.any(value.astype(np.float32)):
        found = int(value.reshape(-1)[np.flatnonzero(value.reshape(-1))[0]])
        yield error("zero-point", node, f"its zero point is {found}", "quantize symmetrically: int8 around 0")


def zero_point_missing(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    """Without one ONNX means uint8; the parser takes int8, and the upper half of the range is cut off."""
    if len(node.input) > 2 and node.input[2]:
        return
    if node.op_type == "QuantizeLinear" and not attributes(node).get("output_dtype"):
        yield error(
            "zero-point-missing", node, "without a zero point ONNX means uint8, and TensorRT int8", "add a zero point: int8, 0"
        )
    elif limits.release is not None and limits.release < (10, 0):
        yield error("zero-point-missing", node, "TensorRT before 10 wants a zero point", "add a zero point: int8, 0")


def quantized_type(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    """Which integers. uint8 is taken for int8, silently."""
    is_dq = node.op_type == "DequantizeLinear"
    kind = view.type_of(node.input[0] if is_dq else node.output[0])
    if kind is None or (kind == _T.INT32 and is_bias(view, node)):
        return
    name = _T.DataType.Name(kind).lower()
    if kind == _T.UINT8:
        if is_dq and view.is_constant(node.input[0]):
            yield error("type", node, "the weight is stored in uint8", "store it in int8 around 0")
        else:
            yield error(
                "uint8", node, "TensorRT takes uint8 for int8: what is above 127 steps is cut off", "quantize to int8 around 0"
            )
    elif kind not in _HAVE_KERNELS:
        yield error("type", node, f"TensorRT has no kernels for {name}", "quantize to int8")
    elif kind == _T.INT4 and not view.is_constant(source(view, node)):
        yield error("type", node, "int4 is for weights alone, and this is an activation", "quantize it to int8")


def scale(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    values = view.constant(node.input[1])
    if values is None:
        if not view.is_constant(node.input[1]):
            yield error("scale-computed", node, "its scale is computed at run time", "calibrate, and store the scale in the file")
        return
    exact = values.astype(np.float64)
    least = _LEAST_NORMAL.get(values.dtype, 0.0)
    opset = next((entry.version for entry in view.model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    is_cast = node.op_type == "QuantizeLinear" and view.type_of(node.input[0]) == _T.FLOAT16 and opset < 19
    if not np.isfinite(exact).all() or (exact <= 0).any():
        wrong = exact.reshape(-1)[np.flatnonzero(~((exact.reshape(-1) > 0) & np.isfinite(exact.reshape(-1))))[0]]
        yield error("scale", node, f"one of its scales is {wrong:g}", "a scale is a positive number; give a channel of zeros any")
    elif (exact < least).any():
        yield error(
            "scale", node, f"a scale of {exact.min():g} has lost digits in {values.dtype}", "store it in float32, or raise it"
        )
    elif is_cast and (exact < _LEAST_NORMAL[np.dtype(np.float16)]).any():
        yield error("scale", node, f"a scale of {exact.min():g} is cast to float16", "cast the data to float32 in front of it")


def scale_shape(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    shape, data = view.shape_of(node.input[1]), view.shape_of(node.input[0])
    count = None if shape is None or None in shape else int(np.prod(shape, dtype=np.int64))  # type: ignore[arg-type]
    if shape is None or count in (None, 1):
        return
    axis = int(attributes(node).get("axis", 1))  # type: ignore[call-overload]
    if len(shape) > 1:
        if view.type_of(node.input[0] if node.op_type == "DequantizeLinear" else node.output[0]) == _T.INT8:
            yield error("scale-shape", node, "int8 has no kernels for scales by block", "one scale a channel, or one a tensor")
    elif data is not None and -len(data) <= axis < len(data) and data[axis] not in (None, count):
        yield error("scale-shape", node, f"{count} scales for {data[axis]} channels along axis {axis}", "one scale a channel")


def activation_per_channel(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    """The parser takes it; integer kernels have one scale for all they read."""
    values = view.constant(node.input[1])
    if values is not None and values.size > 1 and not view.is_constant(source(view, node)):
        yield error("activation-per-channel", node, "an activation has one scale a channel", "one scale a tensor for activations")


def steps_differ(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    maker = view.makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
    while maker is not None and maker.op_type in MOVES:
        maker = view.makers.get(maker.input[0])
    if maker is None or maker.op_type != "QuantizeLinear":
        return
    first, second = view.constant(maker.input[1]), view.constant(node.input[1])
    if first is not None and second is not None and (first.size != second.size or np.any(first.reshape(-1) != second.reshape(-1))):
        yield warning(
            "steps-differ", node, "it has another scale than its QuantizeLinear, so no kernel takes both", "one scale a pair"
        )


def weight_axis(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    """Scales of a weight along anything but its output channels are taken by the parser; integer kernels have no place for them."""
    if node.op_type not in WEIGHTED or len(node.input) < 2:
        return
    found = weight_pair(view, node.input[1])
    if found is None:
        return
    pair, perm = found
    values, shape = view.constant(pair.input[1]), view.shape_of(pair.input[0])
    if values is None or values.size == 1 or shape is None:
        return
    axis = int(attributes(pair).get("axis", 1)) % len(shape)  # type: ignore[call-overload]
    seen = axis if perm is None else perm.index(axis)
    wanted = output_axis(node, len(shape))
    if seen != wanted and values.ndim <= 1:
        yield error("weight-axis", node, f"its weight's scales are along axis {seen}, not {wanted}", "one scale an output channel")


def partly_quantized(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    if node.op_type not in WEIGHTED or len(node.input) < 2:
        return
    activation, weight = is_dequantized(view, node.input[0]), is_dequantized(view, node.input[1])
    if weight and not activation and view.is_constant(weight_source(view, node.input[1])):
        if integer_of(view, node.input[1]) == _T.INT8:
            yield error(
                "partly-quantized", node, "its weight is int8 and its activation is not", "quantize the activation too, or neither"
            )
    elif activation and not weight:
        yield warning("partly-quantized", node, "only its activation is quantized: it runs in float", "quantize its weight too")


def bias(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or len(node.input) < 3 or not is_dequantized(view, node.input[2]):
        return
    if integer_of(view, node.input[2]) == _T.INT32:
        yield error("int32-bias", node, "its bias is stored in int32", "leave the bias in float: TensorRT quantizes it itself")
    else:
        yield error("bias", node, "its bias is rounded", "leave the bias in float: TensorRT takes only a stored one")


def residual(view: GraphView, node: onnx.NodeProto, limits: Limits) -> Iterator[RuleFinding]:
    """A rounded main branch cannot be fused with the convolution that makes it."""
    if node.op_type != "Add":
        return
    for main, other in (tuple(node.input), tuple(node.input)[::-1]):
        maker = view.makers.get(main)
        quantizer = view.makers.get(maker.input[0]) if maker is not None and maker.op_type == "DequantizeLinear" else None
        if quantizer is None or quantizer.op_type != "QuantizeLinear" or not is_dequantized(view, other):
            continue
        origin = view.makers.get(quantizer.input[0])
        if origin is not None and origin.op_type in ("Conv", "ConvTranspose") and len(view.readers[origin.output[0]]) == 1:
            yield warning("residual", node, "its main branch is rounded, so it cannot be fused", "quantize the shortcut alone")
            return


PAIR_RULES: tuple[Rule, ...] = (
    zero_point, zero_point_missing, quantized_type, scale, scale_shape, activation_per_channel, steps_differ,
)  # fmt: skip
OTHER_RULES: tuple[Rule, ...] = (weight_axis, partly_quantized, bias, residual)


def rules_of(node: onnx.NodeProto) -> tuple[Rule, ...]:
    return PAIR_RULES if node.op_type in PAIR else OTHER_RULES
