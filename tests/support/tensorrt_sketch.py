"""A small ONNX graph under construction, with the Q/DQ pairs that rules of TensorRT are about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F16 = np.float16
_TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(F16): TensorProto.FLOAT16}


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


def one_conv(activation: Callable[[Sketch, str], str], weight: Callable[[Sketch], str], **options: Any) -> onnx.ModelProto:
    """One 3x3 convolution of 16 to 16 channels between a given activation and a given weight."""
    g = Sketch(**options)
    return g.model(conv_of(g, activation(g, g.input(1, 16, 8, 8)), weight(g)))


def pair_of(g: Sketch, x: str) -> str:
    return g.pair(x)


def weight_of(g: Sketch) -> str:
    return g.weight_pair(16, 16, 3, 3)
