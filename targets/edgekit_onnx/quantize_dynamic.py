"""Dynamic int8: weights are stored in int8, each activation is quantized at run time from its own range.

The nodes written here are the ones ONNX Runtime fuses (DynamicQuantizeLinear, MatMulInteger, Cast, Mul become one kernel). Emitting
them ourselves rather than by ``onnxruntime.quantization.quantize_dynamic`` lets one model mix weight types, keeps shared weights
shared, honours ``keep_float`` for ``Gemm`` (that tool renames it first), leaves an ``LSTM`` whose layout it would lose, and writes
no temporary files. With one weight type for all operators the result computes what that tool's default recipe computes; a test
compares the two.

Weight type per operator: on convolutions int8 weights run 5 to 11 times slower than float in ONNX Runtime while uint8 is near
float; on matrix products int8 is the fastest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from edgekit.quantize import graphs, weights
from edgekit.schemes import WeightType

from .content import DYNAMIC_OPERATORS
from .node_times import part_of

if TYPE_CHECKING:
    import onnx

    from edgekit.quantize.weights import Floats, QuantizedWeight

_COMPUTES = frozenset({"MatMulInteger", "ConvInteger", "DynamicQuantizeLSTM"})


def quantize_dynamic(
    model: onnx.ModelProto,
    *,
    weight_type: WeightType,
    operators: Collection[str] = DYNAMIC_OPERATORS,
    keep_float: Collection[str] = (),
    weight_bits: int = 8,
) -> Counter[str]:
    """Quantize the given operators of ``model`` in place and count them by type.

    Args:
        weight_type: "per-operator" (one scale a channel: uint8 on Conv, int8 elsewhere; depthwise Conv stays float), or "int8" /
            "uint8" for all of them with one scale a tensor, which is the widespread default recipe.
        keep_float: nodes, by their first output, that stay as they are.
        weight_bits: 7 for processors without VNNI (int8 weights only).

    Raises:
        ModelError: ``keep_float`` names a node that is not there.
    """
    return _Emitter(model, weight_type, weight_bits).run(operators, keep_float)


class _Emitter:
    def __init__(self, model: onnx.ModelProto, weight_type: WeightType, weight_bits: int) -> None:
        self.model = model
        self.weight_type = weight_type
        self.weight_bits = weight_bits
        self.fresh = graphs.FreshNames(model.graph)
        self.constants = graphs.float_initializers(model.graph)
        self.nodes: list[onnx.NodeProto] = []
        self.current = ""
        self.activations: dict[str, tuple[str, str, str]] = {}
        self.stored: dict[tuple[object, ...], tuple[str, str, str]] = {}

    def run(self, operators: Collection[str], keep_float: Collection[str]) -> Counter[str]:
        chosen = {graphs.node_id(node) for node in graphs.select(self.model.graph, operators, keep_float)}
        emit = {"Conv": self.conv, "MatMul": self.matmul, "Gemm": self.gemm, "LSTM": self.lstm}
        done: Counter[str] = Counter()
        for node in self.model.graph.node:
            self.current = graphs.node_id(node)
            if self.current in chosen and emit[node.op_type](node):
                done[node.op_type] += 1
            else:
                self.nodes.append(node)
        del self.model.graph.node[:]
        self.model.graph.node.extend(self.nodes)
        graphs.drop_unused(self.model.graph)
        return done

    # ------------------------------------------------------------ one operator each; False leaves the node as it is
    def matmul(self, node: onnx.NodeProto) -> bool:
        weight = self.array(node.input[1])
        if weight.ndim < 2:
            return False
        self.product(node.input[0], node.input[1], node.output[0], transposed=False, factor=1.0)
        return True

    def gemm(self, node: onnx.NodeProto) -> bool:
        bias = node.input[2] if len(node.input) > 2 else ""
        beta = graphs.attribute(node, "beta", 1.0)
        if graphs.attribute(node, "transA", 0) or (bias and beta != 1.0):
            return False
        result = self.fresh(f"{node.output[0]}_product") if bias else node.output[0]
        self.product(
            node.input[0],
            node.input[1],
            result,
            transposed=bool(graphs.attribute(node, "transB", 0)),
            factor=graphs.attribute(node, "alpha", 1.0),
        )
        if bias:
            self.node("Add", [result, bias], [node.output[0]])
        return True

    def product(self, activation: str, weight_name: str, output: str, *, transposed: bool, factor: float) -> None:
        """``output = activation @ weight`` in integers; ``factor`` is folded into the weight's scale."""
        key = (weight_name, "product", transposed, factor)
        if key not in self.stored:
            weight = self.array(weight_name)
            weight = np.ascontiguousarray(weight.T if transposed else weight) * np.float32(factor)
            # a weight with batch axes has no single column axis that the runtime accepts scales for
            self.store(key, weight_name, self.quantized("MatMul", weight, axis=1 if weight.ndim == 2 else None))
        stored, scale, zero_point = self.stored[key]
        quantized, activation_scale, activation_zero_point = self.activation(activation)
        integers = self.fresh(f"{output}_integer")
        self.node("MatMulInteger", [quantized, stored, activation_zero_point, zero_point], [integers])
        self.rescale(integers, activation_scale, scale, output)

    def conv(self, node: onnx.NodeProto) -> bool:
        if self.weight_type == "per-operator" and graphs.is_depthwise(node, self.constants):
            return False
        weight_name = node.input[1]
        key = (weight_name, "conv")
        if key not in self.stored:
            weight = self.array(weight_name)
            quantized = self.quantized("Conv", weight, axis=0)
            channels = (-1, *(1,) * (weight.ndim - 2)) if quantized.scale.ndim else ()
            self.store(key, weight_name, quantized, scale_shape=channels)
        stored, scale, zero_point = self.stored[key]
        quantized_name, activation_scale, activation_zero_point = self.activation(node.input[0])
        integers = self.fresh(f"{node.output[0]}_integer")
        self.node("ConvInteger", [quantized_name, stored, activation_zero_point, zero_point], [integers], like=node)
        bias = node.input[2] if len(node.input) > 2 else ""
        result = self.fresh(f"{node.output[0]}_product") if bias else node.output[0]
        self.rescale(integers, activation_scale, scale, result)
        if bias:
            self.node("Add", [result, self.channel_bias(bias, len(self.constants[weight_name].dims) - 2)], [node.output[0]])
        return True

    def lstm(self, node: onnx.NodeProto) -> bool:
        """ONNX Runtime's own operator. It has no ``layout``, and its weights are [directions, inputs, 4 * hidden]."""
        if graphs.attribute(node, "layout", 0) or graphs.has_attribute(node, "activations"):
            return False
        inputs = [*node.input, *[""] * (8 - len(node.input))]
        scales: list[str] = []
        for position in (1, 2):
            name = inputs[position]
            key = (name, "lstm")
            if key not in self.stored:
                directions, channels, features = (int(size) for size in self.constants[name].dims)
                rows = self.array(name).reshape(directions * channels, features)
                quantized = weights.symmetric_int8(rows, axis=0, bits=self.weight_bits)
                turned = quantized.stored.reshape(directions, channels, features).transpose(0, 2, 1)
                stored = np.ascontiguousarray(turned, dtype=np.int8)
                shape = (directions, channels)
                self.store(
                    key,
                    name,
                    weights.QuantizedWeight(
                        np.ascontiguousarray(stored, dtype=np.int8),
                        quantized.scale.reshape(shape),
                        quantized.zero_point.reshape(shape),
                    ),
                )
            inputs[position], scale, zero_point = self.stored[key]
            scales += [scale, zero_point]
        graphs.require_domain(self.model, "com.microsoft", 1)
        self.node(
            "DynamicQuantizeLSTM", [*inputs, *scales], list(node.output), like=node, domain="com.microsoft", without=("layout",)
        )
        return True

    # ------------------------------------------------------------ pieces
    def quantized(self, operator: str, weight: Floats, axis: int | None) -> QuantizedWeight:
        if self.weight_type == "uint8":
            return weights.asymmetric_uint8(weight)
        if self.weight_type == "int8":
            return weights.symmetric_int8(weight, None, bits=self.weight_bits)
        if operator == "Conv":
            assert axis is not None
            return weights.symmetric_uint8(weight, axis)
        return weights.symmetric_int8(weight, axis, bits=self.weight_bits)

    def activation(self, name: str) -> tuple[str, str, str]:
        """The quantized form of an activation with its scale and zero point; made once for all its readers."""
        if name not in self.activations:
            names = (self.fresh(f"{name}_quantized"), self.fresh(f"{name}_scale"), self.fresh(f"{name}_zero_point"))
            self.node("DynamicQuantizeLinear", [name], list(names))
            self.activations[name] = names
        return self.activations[name]

    def rescale(self, integers: str, activation_scale: str, weight_scale: str, output: str) -> None:
        import onnx

        floats, scale = self.fresh(f"{integers}_float"), self.fresh(f"{integers}_scale")
        self.node("Cast", [integers], [floats], to=int(onnx.TensorProto.FLOAT))
        self.node("Mul", [activation_scale, weight_scale], [scale])
        self.node("Mul", [floats, scale], [output])

    def channel_bias(self, bias: str, spatial: int) -> str:
        """The bias as [1, channels, 1, ...], so that it is added per channel."""
        key = (bias, "bias", spatial)
        if key not in self.stored:
            shape = (1, -1, *(1,) * spatial)
            if bias in self.constants:
                name = self.constant(f"{bias}_per_channel", self.array(bias).reshape(shape))
            else:
                name = self.fresh(f"{bias}_per_channel")
                self.node("Reshape", [bias, self.constant(f"{bias}_shape", np.asarray(shape, np.int64))], [name])
            self.stored[key] = (name, "", "")
        return self.stored[key][0]

    def store(
        self, key: tuple[object, ...], name: str, weight: QuantizedWeight, *, scale_shape: tuple[int, ...] | None = None
    ) -> None:
        scale = weight.scale if scale_shape is None else weight.scale.reshape(scale_shape)
        self.stored[key] = (
            self.constant(f"{name}_quantized", weight.stored),
            self.constant(f"{name}_scale", scale),
            self.constant(f"{name}_zero_point", weight.zero_point),
        )

    def array(self, name: str) -> Floats:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self.constants[name]), np.float32)

    def constant(self, wanted: str, value: np.typing.NDArray[np.generic]) -> str:
        from onnx import numpy_helper

        name = self.fresh(wanted)
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def node(
        self,
        operator: str,
        inputs: list[str],
        outputs: list[str],
        *,
        like: onnx.NodeProto | None = None,
        domain: str = "",
        without: tuple[str, ...] = (),
        to: int | None = None,
    ) -> None:
        from onnx import helper

        # the node that computes is named by its NodeId; the quantization of an activation belongs to all its readers
        name = self.current if operator in _COMPUTES else part_of(self.current, operator)
        if operator == "DynamicQuantizeLinear":
            name = f"{outputs[0]}_{operator}"
        made = helper.make_node(operator, inputs, outputs, name=name if operator in _COMPUTES else self.fresh(name), domain=domain)
        if to is not None:
            made.attribute.append(helper.make_attribute("to", to))
        if like is not None:
            made.attribute.extend(found for found in like.attribute if found.name not in without)
        self.nodes.append(made)
