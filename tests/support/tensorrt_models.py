"""Hand-made models for the rules of TensorRT: what it takes, what it refuses, and what its parser silently bends.

Each :class:`Case` says which of the three it is and, unless it is legal, the rule of ours that must find it. A fourth kind,
"advice", is legal and right, and a rule of ours has a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto

from . import tensorrt_illegal as illegal
from . import tensorrt_legal as legal
from .tensorrt_sketch import one_conv, pair_of, weight_of

Class = Literal["legal", "advice", "both-refuse", "ours-alone"]


@dataclass(frozen=True)
class Case:
    """``capability``: the compute capability that it is built for. ``rule``: what our linter must say; empty where it is legal."""

    name: str
    kind: Class
    build: Callable[[], onnx.ModelProto]
    rule: str = ""
    capability: str = "8.7"


INF, NAN = float("inf"), float("nan")
CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("conv", "legal", lambda: one_conv(pair_of, weight_of)),
        Case("conv, stored weights", "legal", lambda: one_conv(pair_of, lambda g: g.stored_weight(16, 16, 3, 3))),
        Case("conv, one scale", "legal", lambda: one_conv(pair_of, lambda g: g.weight_pair(16, 16, 3, 3, axis=None))),
        Case("conv, scales of shape 1", "legal", lambda: one_conv(lambda g, x: g.pair(x, np.full(1, 0.05)), weight_of)),
        Case("conv, negative axis", "legal",
             lambda: one_conv(pair_of, lambda g: g.pair(g.weight(16, 16, 3, 3), np.full(16, 0.01), axis=-4))),
        Case("transposed conv", "legal", legal.transposed),
        Case("gemm", "legal", lambda: legal.gemm(1)),
        Case("gemm, turned weight", "legal", lambda: legal.gemm(0, turned=True)),
        Case("matmul", "legal", lambda: legal.matmul(1)),
        Case("attention", "legal", legal.attention),
        Case("residual", "legal", legal.residual),
        Case("batch norm", "legal", legal.batch_norm),
        Case("depthwise", "legal", legal.depthwise),
        Case("grouped", "legal", legal.grouped),
        Case("conv over time", "legal", legal.conv1d),
        Case("half, everywhere", "legal", legal.in_half),
        Case("half, no integers", "legal", legal.half_without_integers),
        Case("half, inside", "legal", legal.half_inside),
        Case("partly quantized", "legal", legal.partly),
        Case("pooled", "legal", legal.pooled),
        Case("averaged", "legal", legal.averaged),
        Case("joined", "legal", legal.joined),
        Case("scales in Constant nodes", "legal", legal.from_constants),
        Case("Q/DQ at both ends", "legal", legal.at_the_ends),
        Case("opset 13", "legal", lambda: legal.of_opset(13)),
        Case("opset 21, output_dtype", "legal", lambda: legal.of_opset(21, output_dtype=TensorProto.INT8)),
        Case("float", "legal", legal.plain),
        Case("int8 input", "legal", legal.int8_input),
        Case("int8 output", "legal", legal.int8_output),
        Case("dead channel, floored scale", "legal", legal.dead_channels_floored),

        Case("zero point 3", "both-refuse", lambda: one_conv(lambda g, x: g.pair(x, zero=3), weight_of), "zero-point"),
        Case("zero point of a weight", "both-refuse",
             lambda: one_conv(pair_of, lambda g: g.stored_weight(16, 16, 3, 3, zero=1)), "zero-point"),
        Case("uint8 around 128", "both-refuse",
             lambda: one_conv(lambda g, x: g.pair(x, zero=128, zero_dtype=np.uint8), weight_of), "zero-point"),
        Case("uint8 weight", "both-refuse", illegal.stored_uint8_weight, "type"),
        Case("int32 bias", "both-refuse", illegal.int32_bias, "int32-bias"),
        Case("scale 0", "both-refuse",
             lambda: one_conv(pair_of, lambda g: g.stored_weight(16, 16, 3, 3, scale=np.eye(16)[0])), "scale"),
        Case("scale below 0", "both-refuse", lambda: one_conv(lambda g, x: g.pair(x, -0.05), weight_of), "scale"),
        Case("scale NaN", "both-refuse", lambda: one_conv(lambda g, x: g.pair(x, NAN), weight_of), "scale"),
        Case("number of scales", "both-refuse", illegal.wrong_number_of_scales, "scale-shape"),
        Case("QLinearConv", "both-refuse", illegal.qlinear_conv, "operator"),
        Case("QLinearMatMul", "both-refuse", illegal.qlinear_matmul, "operator"),
        Case("DynamicQuantizeLinear", "both-refuse", illegal.dynamic, "operator"),
        Case("ConvInteger", "both-refuse", illegal.conv_integer, "operator"),
        Case("int16", "both-refuse", lambda: illegal.of_type(TensorProto.INT16), "type"),
        Case("uint16", "both-refuse", lambda: illegal.of_type(TensorProto.UINT16), "type"),
        Case("uint4", "both-refuse", lambda: illegal.of_type(TensorProto.UINT4), "type"),
        Case("int4 activations", "ours-alone", lambda: illegal.of_type(TensorProto.INT4), "type"),
        Case("fp8 below 8.9", "both-refuse", illegal.fp8, "fp8-hardware"),
        Case("bfloat16 below 8.0", "both-refuse", illegal.bfloat16, "bfloat16-hardware", "7.2"),
        Case("half conv, float bias", "both-refuse", lambda: legal.half_without_integers(np.float32), "mixed-types"),
        Case("half int8 conv, float bias", "both-refuse", lambda: legal.in_half(np.float32), "mixed-types"),
        Case("Det", "both-refuse", lambda: illegal.operator("Det", 4, 4), "operator"),
        Case("BitShift", "both-refuse", illegal.bit_shift, "operator"),
        Case("somebody's operator", "both-refuse", lambda: illegal.operator("FastGelu", 4, 16, domain="com.microsoft"), "operator"),
        Case("indices of MaxPool", "both-refuse",
             lambda: illegal.operator("MaxPool", 1, 3, 8, 8, outputs=2, kernel_shape=[2, 2]), "restriction"),
        Case("dilated MaxPool", "both-refuse",
             lambda: illegal.operator("MaxPool", 1, 3, 8, 8, kernel_shape=[2, 2], dilations=[2, 2]), "restriction"),
        Case("antialiased Resize", "both-refuse", illegal.antialiased, "restriction"),
        Case("ScatterND that adds", "both-refuse", illegal.scatter_add, "restriction"),
        Case("LSTM by batch", "ours-alone", illegal.lstm_by_batch, "restriction"),

        Case("uint8 around 0", "ours-alone", lambda: one_conv(lambda g, x: g.pair(x, zero_dtype=np.uint8), weight_of), "uint8"),
        Case("no zero point", "ours-alone", lambda: one_conv(lambda g, x: g.pair(x, zero=None), weight_of), "zero-point-missing"),
        Case("activation scale a channel", "ours-alone",
             lambda: one_conv(lambda g, x: g.pair(x, np.full(16, 0.05), axis=1), weight_of), "activation-per-channel"),
        Case("wrong axis, Conv", "ours-alone",
             lambda: one_conv(pair_of, lambda g: g.weight_pair(16, 16, 3, 3, axis=1)), "weight-axis"),
        Case("wrong axis, ConvTranspose", "ours-alone", lambda: legal.transposed(0), "weight-axis"),
        Case("wrong axis, MatMul", "ours-alone", lambda: legal.matmul(0), "weight-axis"),
        Case("wrong axis, Gemm", "ours-alone", lambda: legal.gemm(0), "weight-axis"),
        Case("wrong axis, turned Gemm", "ours-alone", lambda: legal.gemm(1, turned=True), "weight-axis"),
        Case("scale infinite", "ours-alone", lambda: one_conv(lambda g, x: g.pair(x, INF), weight_of), "scale"),
        Case("weights alone", "ours-alone", illegal.weights_alone, "partly-quantized"),
        Case("activation alone", "advice", illegal.activation_alone, "partly-quantized"),
        Case("rounded bias", "ours-alone", illegal.rounded_bias, "bias"),
        Case("two steps", "advice", illegal.two_steps, "steps-differ"),
        Case("computed scale", "both-refuse", illegal.computed_scale, "scale-computed"),
        Case("main branch rounded", "advice", lambda: legal.residual(both=True), "residual"),
        Case("half scale, subnormal", "ours-alone", illegal.tiny_half_scale, "scale"),
        Case("double precision", "advice", illegal.doubles, "double"),
        Case("random", "advice", illegal.random_noise, "random"),
        Case("opset 8", "ours-alone", illegal.old_opset, "opset"),
        Case("half scale by a cast", "ours-alone", illegal.cast_scale, "scale"),
    )
}  # fmt: skip
