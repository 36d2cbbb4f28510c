"""Models that TensorRT refuses, that its parser takes and silently bends, and that a rule of ours warns of."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from .tensorrt_sketch import F16, Sketch, conv_of, weight_of


# ---------------------------------------------------------------- refused
def qlinear_conv() -> onnx.ModelProto:
    g = Sketch()
    s, z = g.scale(), g.zero()
    x = g.op("QuantizeLinear", g.input(1, 16, 8, 8), s, z)
    w = g.const(np.ones((16, 16, 3, 3)), np.int8)
    return g.model(g.op("DequantizeLinear", g.op("QLinearConv", x, s, z, w, s, z, s, z, pads=[1, 1, 1, 1]), s, z))


def qlinear_matmul() -> onnx.ModelProto:
    g = Sketch()
    s, z = g.scale(), g.zero()
    x = g.op("QuantizeLinear", g.input(8, 16), s, z)
    return g.model(g.op("DequantizeLinear", g.op("QLinearMatMul", x, s, z, g.const(np.ones((16, 16)), np.int8), s, z, s, z), s, z))


def dynamic() -> onnx.ModelProto:
    g = Sketch()
    g.op("DynamicQuantizeLinear", g.input(8, 16), outputs=3)
    x, _, zero = g.nodes[-1].output
    product = g.op("MatMulInteger", x, g.const(np.ones((16, 16)), np.int8), zero)
    return g.model(product, kinds=[TensorProto.INT32])


def conv_integer() -> onnx.ModelProto:
    g = Sketch()
    x = g.input(1, 16, 8, 8, dtype=np.uint8)
    return g.model(g.op("ConvInteger", x, g.const(np.ones((16, 16, 3, 3)), np.int8)), kinds=[TensorProto.INT32])


def int32_bias() -> onnx.ModelProto:
    g = Sketch()
    bias = g.dq(g.const(np.arange(16), np.int32), np.full(16, 0.0005), 0, zero_dtype=np.int32, axis=0)
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), weight_of(g), bias))


def of_type(kind: int, opset: int = 21) -> onnx.ModelProto:
    """Activations in a type of opset 21 that the parser has no integer kernel for."""
    g = Sketch(opset=opset)
    x, zero, scale = g.input(1, 16, 8, 8), g.raw(kind, [], [0]), g.scale()
    return g.model(g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero))


def fp8() -> onnx.ModelProto:
    g = Sketch(opset=19)
    zero, scale = g.raw(TensorProto.FLOAT8E4M3FN, [], [0]), g.scale()
    x = g.op("DequantizeLinear", g.op("QuantizeLinear", g.input(8, 32), scale, zero), scale, zero)
    w = g.op("DequantizeLinear", g.op("QuantizeLinear", g.weight(32, 16), scale, zero), scale, zero)
    return g.model(g.op("MatMul", x, w))


def bfloat16() -> onnx.ModelProto:
    g = Sketch()
    x = g.op("Cast", g.input(8, 32), to=TensorProto.BFLOAT16)
    w = g.raw(TensorProto.BFLOAT16, [32, 16], [0.5] * 512)
    return g.model(g.op("Cast", g.op("MatMul", x, w), to=TensorProto.FLOAT))


def wrong_number_of_scales() -> onnx.ModelProto:
    g = Sketch()
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), g.stored_weight(16, 16, 3, 3, scale=np.full(8, 0.01))))


def stored_uint8_weight() -> onnx.ModelProto:
    g = Sketch()
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), g.stored_weight(16, 16, 3, 3, dtype=np.uint8)))


def operator(name: str, *shape: int, domain: str = "", outputs: int = 1, opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    """One operator that is not there, or not so, behind a float32 input."""
    g = Sketch(opset=opset)
    if domain:
        g.domains[domain] = 1
    g.op(name, g.input(*shape), domain=domain, outputs=outputs, **attributes)
    kinds = [TensorProto.FLOAT, TensorProto.INT64][:outputs]
    return g.model(*g.nodes[-1].output, kinds=kinds)


def antialiased() -> onnx.ModelProto:
    g = Sketch(opset=18)
    scales = g.const([1, 1, 0.5, 0.5])
    return g.model(g.op("Resize", g.input(1, 3, 8, 8), "", scales, mode="linear", antialias=1))


def bit_shift() -> onnx.ModelProto:
    g = Sketch()
    x = g.input(4, dtype=np.uint8)
    return g.model(g.op("BitShift", x, g.const([1, 1, 1, 1], np.uint8), direction="LEFT"), kinds=[TensorProto.UINT8])


def scatter_add() -> onnx.ModelProto:
    g = Sketch()
    x = g.input(8, 4)
    updates = g.weight(2, 4)
    return g.model(g.op("ScatterND", x, g.const([[0], [1]], np.int64), updates, reduction="add"))


def lstm_by_batch() -> onnx.ModelProto:
    g = Sketch()
    x = g.input(1, 9, 12)
    g.op("LSTM", x, g.weight(1, 64, 12), g.weight(1, 64, 16), outputs=1, hidden_size=16, layout=1)
    return g.model(g.nodes[-1].output[0])


# ---------------------------------------------------------------- taken by the parser, and wrong or slow
def weights_alone() -> onnx.ModelProto:
    """An int8 weight in front of an operator whose activation is float."""
    g = Sketch()
    return g.model(conv_of(g, g.input(1, 16, 8, 8), g.stored_weight(16, 16, 3, 3)))


def activation_alone() -> onnx.ModelProto:
    g = Sketch()
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), g.weight(16, 16, 3, 3)))


def rounded_bias() -> onnx.ModelProto:
    g = Sketch()
    bias = g.pair(g.weight(16), np.full(16, 0.01), axis=0)
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), weight_of(g), bias))


def two_steps() -> onnx.ModelProto:
    """Quantized with one step, dequantized with another: a gain that no kernel expects."""
    g = Sketch()
    x = g.dq(g.q(g.input(1, 16, 8, 8), 0.05), 0.1)
    return g.model(conv_of(g, x, weight_of(g)))


def computed_scale() -> onnx.ModelProto:
    """A scale that is computed from the input."""
    g = Sketch()
    x = g.input(1, 16, 8, 8)
    scale = g.op("ReduceMax", g.op("Abs", x), keepdims=0)
    zero = g.zero()
    return g.model(conv_of(g, g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero), weight_of(g)))


def tiny_half_scale() -> onnx.ModelProto:
    """Scales in float16 that have lost their digits (a subnormal)."""
    g = Sketch(dtype=F16)
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), g.stored_weight(16, 16, 3, 3, scale=np.full(16, 3e-7))))


def cast_scale() -> onnx.ModelProto:
    """A float32 scale beside float16 data, which the parser casts to float16; it is too small for that. (ONNX itself has opset 23
    for it.)"""
    g = Sketch(dtype=F16)
    scale, zero = g.const(3e-7, np.float32), g.zero()
    x = g.op("QuantizeLinear", g.input(1, 16, 8, 8), scale, zero)
    return g.model(
        conv_of(g, g.op("Cast", g.op("DequantizeLinear", x, scale, zero), to=TensorProto.FLOAT16), g.weight(16, 16, 3, 3))
    )


def doubles() -> onnx.ModelProto:
    g = Sketch(dtype=np.float64)
    x = g.input(8, 32)
    return g.model(g.op("MatMul", x, g.weight(32, 16)), kinds=[TensorProto.DOUBLE])


def random_noise() -> onnx.ModelProto:
    g = Sketch()
    x = g.input(4, 8)
    return g.model(g.op("Add", x, g.op("RandomNormalLike", x, seed=1.0)))


def old_opset() -> onnx.ModelProto:
    """Q/DQ of opset 10 knows no axis."""
    g = Sketch(opset=8)
    return g.model(g.op("Relu", g.input(4, 8)))
