"""Models that TensorRT takes, and computes as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from .tensorrt_sketch import F16, Sketch, conv_of, weight_of


def residual(*, both: bool = False) -> onnx.ModelProto:
    """Two convolutions with a shortcut; ``both``: the main branch is rounded in front of the addition too."""
    g = Sketch()
    x = g.input(1, 16, 8, 8)
    rounded = g.pair(x)
    first = g.op("Relu", conv_of(g, rounded, weight_of(g)))
    second = conv_of(g, g.pair(first), weight_of(g))
    return g.model(g.op("Relu", g.op("Add", g.pair(second) if both else second, rounded)))


def batch_norm() -> onnx.ModelProto:
    g = Sketch()
    made = conv_of(g, g.pair(g.input(1, 16, 8, 8)), weight_of(g))
    ones, zeros = g.const(np.ones(16)), g.const(np.zeros(16))
    return g.model(g.op("Relu", g.op("BatchNormalization", made, ones, zeros, zeros, ones)))


def depthwise() -> onnx.ModelProto:
    g = Sketch()
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), g.weight_pair(16, 1, 3, 3), group=16))


def grouped() -> onnx.ModelProto:
    g = Sketch()
    return g.model(conv_of(g, g.pair(g.input(1, 32, 8, 8)), g.weight_pair(32, 16, 3, 3), group=2))


def conv1d() -> onnx.ModelProto:
    g = Sketch()
    return g.model(g.op("Conv", g.pair(g.input(1, 16, 32)), g.weight_pair(16, 16, 3)))


def transposed(axis: int | None = 1) -> onnx.ModelProto:
    g = Sketch()
    return g.model(g.op("ConvTranspose", g.pair(g.input(1, 16, 8, 8)), g.weight_pair(16, 32, 2, 2, axis=axis), strides=[2, 2]))


def gemm(axis: int | None, *, turned: bool = False, size: tuple[int, int] = (32, 16)) -> onnx.ModelProto:
    g = Sketch()
    shape = size[::-1] if turned else size
    return g.model(
        g.op("Gemm", g.pair(g.input(4, size[0])), g.weight_pair(*shape, axis=axis), g.weight(size[1]), transB=int(turned))
    )


def matmul(axis: int | None, size: tuple[int, int] = (32, 16)) -> onnx.ModelProto:
    g = Sketch()
    return g.model(g.op("MatMul", g.pair(g.input(1, 8, size[0])), g.weight_pair(*size, axis=axis)))


def attention() -> onnx.ModelProto:
    g = Sketch()
    q, k, v = (g.input(1, 2, 16, 32) for _ in range(3))
    scores = g.op("MatMul", g.pair(q), g.pair(g.op("Transpose", k, perm=[0, 1, 3, 2])))
    weights = g.op("Softmax", scores, axis=-1)
    return g.model(g.op("MatMul", g.pair(weights, 1 / 127), g.pair(v)))


def in_half(bias: Any = F16) -> onnx.ModelProto:
    """float16 around an int8 convolution, with float16 scales; the bias is of type ``bias``."""
    g = Sketch(dtype=F16)
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), weight_of(g), g.weight(16, dtype=bias)))


def half_without_integers(bias: Any = F16) -> onnx.ModelProto:
    g = Sketch(dtype=F16)
    return g.model(conv_of(g, g.input(1, 16, 8, 8), g.weight(16, 16, 3, 3), g.weight(16, dtype=bias)))


def half_inside() -> onnx.ModelProto:
    """float32 outside, float16 within, casts between, a sensitive operator in float32."""
    g = Sketch()
    x = g.op("Cast", g.input(1, 16, 8, 8), to=TensorProto.FLOAT16)
    made = conv_of(g, x, g.weight(16, 16, 3, 3, dtype=F16), g.weight(16, dtype=F16))
    return g.model(g.op("Softmax", g.op("Cast", made, to=TensorProto.FLOAT), axis=1))


def partly() -> onnx.ModelProto:
    g = Sketch()
    first = g.op("Relu", conv_of(g, g.pair(g.input(1, 16, 8, 8)), weight_of(g)))
    return g.model(conv_of(g, first, g.weight(16, 16, 3, 3)))


def pooled() -> onnx.ModelProto:
    g = Sketch()
    x = g.op("MaxPool", g.pair(g.input(1, 16, 8, 8)), kernel_shape=[2, 2], strides=[2, 2])
    return g.model(conv_of(g, g.pair(x), weight_of(g)))


def averaged() -> onnx.ModelProto:
    g = Sketch()
    made = conv_of(g, g.pair(g.input(1, 16, 8, 8)), weight_of(g))
    return g.model(g.op("GlobalAveragePool", g.pair(made)))


def joined() -> onnx.ModelProto:
    g = Sketch()
    x = g.input(1, 16, 8, 8)
    both = g.op("Concat", g.pair(x), g.pair(g.op("Relu", x)), axis=1)
    return g.model(conv_of(g, g.pair(both), g.weight_pair(16, 32, 3, 3)))


def from_constants() -> onnx.ModelProto:
    """Scales and zero points in Constant nodes, as exporters of PyTorch write them."""
    g = Sketch()
    x, s = g.input(1, 16, 8, 8), numpy_helper.from_array(np.float32(0.05))
    scale, zero = g.op("Constant", value=s), g.op("Constant", value=numpy_helper.from_array(np.int8(0)))
    x = g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero)
    return g.model(conv_of(g, x, weight_of(g)))


def at_the_ends() -> onnx.ModelProto:
    g = Sketch()
    return g.model(g.pair(conv_of(g, g.pair(g.input(1, 16, 8, 8)), weight_of(g))))


def of_opset(opset: int, **attributes: Any) -> onnx.ModelProto:
    g = Sketch(opset=opset)
    x = g.input(1, 16, 8, 8)
    rounded = g.dq(g.q(x, zero=None if attributes else 0, **attributes), zero=None if attributes else 0)
    return g.model(conv_of(g, rounded, g.stored_weight(16, 16, 3, 3)))


def plain() -> onnx.ModelProto:
    g = Sketch()
    return g.model(g.op("Softmax", g.op("MatMul", g.input(1, 8, 32), g.weight(32, 16)), axis=-1))


def dead_channels_floored() -> onnx.ModelProto:
    g = Sketch()
    scale = np.full(16, 0.01)
    scale[3] = 1e-7
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), g.stored_weight(16, 16, 3, 3, scale=scale)))


def int8_input() -> onnx.ModelProto:
    g = Sketch()
    x = g.input(1, 16, 8, 8, dtype=np.int8)
    return g.model(conv_of(g, g.dq(x), weight_of(g)))


def int8_output() -> onnx.ModelProto:
    g = Sketch()
    return g.model(g.q(conv_of(g, g.pair(g.input(1, 16, 8, 8)), weight_of(g))), kinds=[TensorProto.INT8])
