"""Hand-made models for the rules of TensorRT: what it takes, what it refuses, and what its parser silently bends.

Each :class:`Case` says which of the three it is and, unless it is legal, the rule of ours that must find it. A fourth kind,
"advice", is legal and right, and a rule of ours has a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Class = Literal["legal", "advice", "both-refuse", "ours-alone"]
F16 = np.float16
_TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(F16): TensorProto.FLOAT16}


@dataclass(frozen=True)
class Case:
    """``capability``: the compute capability that it is built for. ``rule``: what our linter must say; empty where it is legal."""

    name: str
    kind: Class
    build: Callable[[], onnx.ModelProto]
    rule: str = ""
    capability: str = "8.7"


class Sketch:
    """A graph under construction: one call a node or constant, each returns the name of its tensor."""

    def __init__(self, *, opset: int = 17, seed: int = 0, dtype: Any = np.float32) -> None:
        self.opset, self.dtype = opset, np.dtype(dtype)
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.domains: dict[str, int] = {}
        self._n = 0

    def name(self, what: str) -> str:
        self._n += 1
        return f"{what}_{self._n}"

    def input(self, *shape: int, dtype: Any = None) -> str:
        name = self.name("in")
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype or self.dtype))
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def const(self, value: Any, dtype: Any = None) -> str:
        name = self.name("const")
        self.stored.append(numpy_helper.from_array(np.asarray(value, dtype or self.dtype), name))
        return name

    def raw(self, kind: int, shape: Sequence[int], values: Sequence[float]) -> str:
        """A constant of a type that numpy does not have."""
        name = self.name("const")
        self.stored.append(helper.make_tensor(name, kind, shape, values))
        return name

    def weight(self, *shape: int, dtype: Any = None) -> str:
        return self.const(self.random.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:]))), dtype)

    def op(self, operator: str, *inputs: str, domain: str = "", outputs: int = 1, **attributes: Any) -> str:
        names = [self.name(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=self.name("node"), domain=domain, **attributes))
        return names[0]

    # ------------------------------------------------------------ Q/DQ
    def scale(self, value: Any = 0.05, dtype: Any = None) -> str:
        return self.const(value, dtype)

    def zero(self, value: Any = 0, dtype: Any = np.int8) -> str:
        return self.const(value, dtype)

    def q(self, tensor: str, scale: Any = 0.05, zero: Any = 0, *, zero_dtype: Any = np.int8, **attributes: Any) -> str:
        """``zero`` None leaves the zero point out."""
        inputs = [tensor, self.scale(scale)]
        if zero is not None:
            inputs.append(self.zero(np.broadcast_to(zero, np.shape(scale)), zero_dtype))
        return self.op("QuantizeLinear", *inputs, **attributes)

    def dq(self, tensor: str, scale: Any = 0.05, zero: Any = 0, *, zero_dtype: Any = np.int8, **attributes: Any) -> str:
        inputs = [tensor, self.scale(scale)]
        if zero is not None:
            inputs.append(self.zero(np.broadcast_to(zero, np.shape(scale)), zero_dtype))
        return self.op("DequantizeLinear", *inputs, **attributes)

    def pair(self, tensor: str, scale: Any = 0.05, zero: Any = 0, *, zero_dtype: Any = np.int8, **attributes: Any) -> str:
        quantized = self.q(tensor, scale, zero, zero_dtype=zero_dtype, **attributes)
        return self.dq(quantized, scale, zero, zero_dtype=zero_dtype, **attributes)

    def weight_pair(self, *shape: int, axis: int | None = 0) -> str:
        """A float weight behind its own pair."""
        scale = 0.01 if axis is None else np.full(shape[axis], 0.01)
        return self.pair(self.weight(*shape), scale, **({} if axis is None else {"axis": axis}))

    def stored_weight(self, *shape: int, axis: int | None = 0, scale: Any = None, zero: Any = 0, dtype: Any = np.int8) -> str:
        """An int8 weight behind its DequantizeLinear."""
        values = (
            self.const(self.random.integers(-127, 128, shape), np.int8) if dtype == np.int8 else self.const(np.zeros(shape), dtype)
        )
        if scale is None:
            scale = 0.01 if axis is None else np.full(shape[axis], 0.01)
        return self.dq(values, scale, zero, zero_dtype=dtype, **({} if axis is None else {"axis": axis}))

    def model(self, *outputs: str, kinds: Sequence[int] = ()) -> onnx.ModelProto:
        default = _TYPES.get(self.dtype, TensorProto.FLOAT)
        values = [
            helper.make_tensor_value_info(name, kinds[i] if i < len(kinds) else default, None) for i, name in enumerate(outputs)
        ]
        graph = helper.make_graph(self.nodes, "main", self.inputs, values, self.stored)
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(*each) for each in self.domains.items())]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8 if self.opset < 19 else 10)


def conv_of(g: Sketch, x: str, w: str, *bias: str, **attributes: Any) -> str:
    return g.op("Conv", x, w, *bias, pads=[1, 1, 1, 1], **attributes)


def _conv(activation: Callable[[Sketch, str], str], weight: Callable[[Sketch], str], **options: Any) -> onnx.ModelProto:
    """One 3x3 convolution of 16 to 16 channels between a given activation and a given weight."""
    g = Sketch(**options)
    return g.model(conv_of(g, activation(g, g.input(1, 16, 8, 8)), weight(g)))


def _pair(g: Sketch, x: str) -> str:
    return g.pair(x)


def _weight(g: Sketch) -> str:
    return g.weight_pair(16, 16, 3, 3)


# ---------------------------------------------------------------- legal
def residual(*, both: bool = False) -> onnx.ModelProto:
    """Two convolutions with a shortcut; ``both``: the main branch is rounded in front of the addition too."""
    g = Sketch()
    x = g.input(1, 16, 8, 8)
    rounded = g.pair(x)
    first = g.op("Relu", conv_of(g, rounded, _weight(g)))
    second = conv_of(g, g.pair(first), _weight(g))
    return g.model(g.op("Relu", g.op("Add", g.pair(second) if both else second, rounded)))


def batch_norm() -> onnx.ModelProto:
    g = Sketch()
    made = conv_of(g, g.pair(g.input(1, 16, 8, 8)), _weight(g))
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


def transposed(axis: int | None = 1, channels: tuple[int, int] = (16, 32)) -> onnx.ModelProto:
    g = Sketch()
    return g.model(
        g.op("ConvTranspose", g.pair(g.input(1, channels[0], 8, 8)), g.weight_pair(*channels, 2, 2, axis=axis), strides=[2, 2])
    )


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
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), _weight(g), g.weight(16, dtype=bias)))


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
    first = g.op("Relu", conv_of(g, g.pair(g.input(1, 16, 8, 8)), _weight(g)))
    return g.model(conv_of(g, first, g.weight(16, 16, 3, 3)))


def pooled() -> onnx.ModelProto:
    g = Sketch()
    x = g.op("MaxPool", g.pair(g.input(1, 16, 8, 8)), kernel_shape=[2, 2], strides=[2, 2])
    return g.model(conv_of(g, g.pair(x), _weight(g)))


def averaged() -> onnx.ModelProto:
    g = Sketch()
    made = conv_of(g, g.pair(g.input(1, 16, 8, 8)), _weight(g))
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
    return g.model(conv_of(g, x, _weight(g)))


def at_the_ends() -> onnx.ModelProto:
    g = Sketch()
    return g.model(g.pair(conv_of(g, g.pair(g.input(1, 16, 8, 8)), _weight(g))))


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


# ---------------------------------------------------------------- refused by both
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
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), _weight(g), bias))


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


# ---------------------------------------------------------------- taken by the parser, and wrong
def weights_alone(kind: str = "Conv") -> onnx.ModelProto:
    """An int8 weight in front of an operator whose activation is float."""
    g = Sketch()
    return g.model(conv_of(g, g.input(1, 16, 8, 8), g.stored_weight(16, 16, 3, 3)))


def activation_alone() -> onnx.ModelProto:
    g = Sketch()
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), g.weight(16, 16, 3, 3)))


def rounded_bias() -> onnx.ModelProto:
    g = Sketch()
    bias = g.pair(g.weight(16), np.full(16, 0.01), axis=0)
    return g.model(conv_of(g, g.pair(g.input(1, 16, 8, 8)), _weight(g), bias))


def two_steps() -> onnx.ModelProto:
    """Quantized with one step, dequantized with another: a gain that no kernel expects."""
    g = Sketch()
    x = g.dq(g.q(g.input(1, 16, 8, 8), 0.05), 0.1)
    return g.model(conv_of(g, x, _weight(g)))


def computed_scale() -> onnx.ModelProto:
    """A scale that is computed from the input."""
    g = Sketch()
    x = g.input(1, 16, 8, 8)
    scale = g.op("ReduceMax", g.op("Abs", x), keepdims=0)
    zero = g.zero()
    return g.model(conv_of(g, g.op("DequantizeLinear", g.op("QuantizeLinear", x, scale, zero), scale, zero), _weight(g)))


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


def int8_input() -> onnx.ModelProto:
    g = Sketch()
    x = g.input(1, 16, 8, 8, dtype=np.int8)
    return g.model(conv_of(g, g.dq(x), _weight(g)))


def int8_output() -> onnx.ModelProto:
    g = Sketch()
    return g.model(g.q(conv_of(g, g.pair(g.input(1, 16, 8, 8)), _weight(g))), kinds=[TensorProto.INT8])


INF, NAN = float("inf"), float("nan")
CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("conv", "legal", lambda: _conv(_pair, _weight)),
        Case("conv, stored weights", "legal", lambda: _conv(_pair, lambda g: g.stored_weight(16, 16, 3, 3))),
        Case("conv, one scale", "legal", lambda: _conv(_pair, lambda g: g.weight_pair(16, 16, 3, 3, axis=None))),
        Case("conv, scales of shape 1", "legal", lambda: _conv(lambda g, x: g.pair(x, np.full(1, 0.05)), _weight)),
        Case("conv, negative axis", "legal",
             lambda: _conv(_pair, lambda g: g.pair(g.weight(16, 16, 3, 3), np.full(16, 0.01), axis=-4))),
        Case("transposed conv", "legal", transposed),
        Case("gemm", "legal", lambda: gemm(1)),
        Case("gemm, turned weight", "legal", lambda: gemm(0, turned=True)),
        Case("matmul", "legal", lambda: matmul(1)),
        Case("attention", "legal", attention),
        Case("residual", "legal", residual),
        Case("batch norm", "legal", batch_norm),
        Case("depthwise", "legal", depthwise),
        Case("grouped", "legal", grouped),
        Case("conv over time", "legal", conv1d),
        Case("half, everywhere", "legal", in_half),
        Case("half, no integers", "legal", half_without_integers),
        Case("half, inside", "legal", half_inside),
        Case("partly quantized", "legal", partly),
        Case("pooled", "legal", pooled),
        Case("averaged", "legal", averaged),
        Case("joined", "legal", joined),
        Case("scales in Constant nodes", "legal", from_constants),
        Case("Q/DQ at both ends", "legal", at_the_ends),
        Case("opset 13", "legal", lambda: of_opset(13)),
        Case("opset 21, output_dtype", "legal", lambda: of_opset(21, output_dtype=TensorProto.INT8)),
        Case("float", "legal", plain),
        Case("int8 input", "legal", int8_input),
        Case("int8 output", "legal", int8_output),
        Case("dead channel, floored scale", "legal", dead_channels_floored),

        Case("zero point 3", "both-refuse", lambda: _conv(lambda g, x: g.pair(x, zero=3), _weight), "zero-point"),
        Case("zero point of a weight", "both-refuse",
             lambda: _conv(_pair, lambda g: g.stored_weight(16, 16, 3, 3, zero=1)), "zero-point"),
        Case("uint8 around 128", "both-refuse",
             lambda: _conv(lambda g, x: g.pair(x, zero=128, zero_dtype=np.uint8), _weight), "zero-point"),
        Case("uint8 weight", "both-refuse", stored_uint8_weight, "type"),
        Case("int32 bias", "both-refuse", int32_bias, "int32-bias"),
        Case("scale 0", "both-refuse", lambda: _conv(_pair, lambda g: g.stored_weight(16, 16, 3, 3, scale=np.eye(16)[0])), "scale"),
        Case("scale below 0", "both-refuse", lambda: _conv(lambda g, x: g.pair(x, -0.05), _weight), "scale"),
        Case("scale NaN", "both-refuse", lambda: _conv(lambda g, x: g.pair(x, NAN), _weight), "scale"),
        Case("number of scales", "both-refuse", wrong_number_of_scales, "scale-shape"),
        Case("QLinearConv", "both-refuse", qlinear_conv, "operator"),
        Case("QLinearMatMul", "both-refuse", qlinear_matmul, "operator"),
        Case("DynamicQuantizeLinear", "both-refuse", dynamic, "operator"),
        Case("ConvInteger", "both-refuse", conv_integer, "operator"),
        Case("int16", "both-refuse", lambda: of_type(TensorProto.INT16), "type"),
        Case("uint16", "both-refuse", lambda: of_type(TensorProto.UINT16), "type"),
        Case("uint4", "both-refuse", lambda: of_type(TensorProto.UINT4), "type"),
        Case("int4 activations", "ours-alone", lambda: of_type(TensorProto.INT4), "type"),
        Case("fp8 below 8.9", "both-refuse", fp8, "fp8-hardware"),
        Case("bfloat16 below 8.0", "both-refuse", bfloat16, "bfloat16-hardware", "7.2"),
        Case("half conv, float bias", "both-refuse", lambda: half_without_integers(np.float32), "mixed-types"),
        Case("half int8 conv, float bias", "both-refuse", lambda: in_half(np.float32), "mixed-types"),
        Case("Det", "both-refuse", lambda: operator("Det", 4, 4), "operator"),
        Case("BitShift", "both-refuse", bit_shift, "operator"),
        Case("somebody's operator", "both-refuse", lambda: operator("FastGelu", 4, 16, domain="com.microsoft"), "operator"),
        Case("indices of MaxPool", "both-refuse",
             lambda: operator("MaxPool", 1, 3, 8, 8, outputs=2, kernel_shape=[2, 2]), "restriction"),
        Case("dilated MaxPool", "both-refuse",
             lambda: operator("MaxPool", 1, 3, 8, 8, kernel_shape=[2, 2], dilations=[2, 2]), "restriction"),
        Case("antialiased Resize", "both-refuse", antialiased, "restriction"),
        Case("ScatterND that adds", "both-refuse", scatter_add, "restriction"),
        Case("LSTM by batch", "ours-alone", lstm_by_batch, "restriction"),

        Case("uint8 around 0", "ours-alone", lambda: _conv(lambda g, x: g.pair(x, zero_dtype=np.uint8), _weight), "uint8"),
        Case("no zero point", "ours-alone", lambda: _conv(lambda g, x: g.pair(x, zero=None), _weight), "zero-point-missing"),
        Case("activation scale a channel", "ours-alone",
             lambda: _conv(lambda g, x: g.pair(x, np.full(16, 0.05), axis=1), _weight), "activation-per-channel"),
        Case("wrong axis, Conv", "ours-alone", lambda: _conv(_pair, lambda g: g.weight_pair(16, 16, 3, 3, axis=1)), "weight-axis"),
        Case("wrong axis, ConvTranspose", "ours-alone", lambda: transposed(0), "weight-axis"),
        Case("wrong axis, MatMul", "ours-alone", lambda: matmul(0), "weight-axis"),
        Case("wrong axis, Gemm", "ours-alone", lambda: gemm(0), "weight-axis"),
        Case("wrong axis, turned Gemm", "ours-alone", lambda: gemm(1, turned=True), "weight-axis"),
        Case("scale infinite", "ours-alone", lambda: _conv(lambda g, x: g.pair(x, INF), _weight), "scale"),
        Case("weights alone", "ours-alone", weights_alone, "partly-quantized"),
        Case("activation alone", "advice", activation_alone, "partly-quantized"),
        Case("rounded bias", "ours-alone", rounded_bias, "bias"),
        Case("two steps", "advice", two_steps, "steps-differ"),
        Case("computed scale", "both-refuse", computed_scale, "scale-computed"),
        Case("main branch rounded", "advice", lambda: residual(both=True), "residual"),
        Case("half scale, subnormal", "ours-alone", tiny_half_scale, "scale"),
        Case("double precision", "advice", doubles, "double"),
        Case("random", "advice", random_noise, "random"),
        Case("opset 8", "ours-alone", old_opset, "opset"),
        Case("half scale by a cast", "ours-alone", cast_scale, "scale"),
    )
}  # fmt: skip
