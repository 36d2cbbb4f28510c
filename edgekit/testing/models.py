"""Small models with the traps that real ones have. Weights are random with a fixed seed; nothing here is trained.

Each :class:`ModelCase` has a builder for the model and one for feeds of any batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

    from edgekit.types import Array

BATCH = "batch"  # a free first dimension
Specs = dict[str, tuple[type[np.generic], Sequence[int | str]]]


@dataclass(frozen=True)
class ModelCase:
    """``feed(batch, seed)`` gives one feed: {input name: array}."""

    name: str
    build: Callable[[], onnx.ModelProto]
    feed: Callable[[int, int], dict[str, Array]]

    def write(self, folder: Path) -> Path:
        import onnx

        path = folder / f"{self.name}.onnx"
        onnx.save(self.build(), path)
        return path

    def feeds(self, n: int = 12, batch: int = 1) -> list[dict[str, Array]]:
        return [self.feed(batch, seed) for seed in range(n)]


class _Graph:
    """Collects nodes and weights; one line a node in the builders below."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, *shape: int, scale: float | None = None) -> str:
        spread = scale if scale is not None else 1 / np.sqrt(max(1, int(np.prod(shape[1:]))))
        return self.constant(name, (self.random.standard_normal(shape) * spread).astype(np.float32))

    def constant(self, name: str, value: np.typing.ArrayLike) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def model(
        self,
        inputs: Specs,
        outputs: Specs,
        *,
        opset: int = 17,
    ) -> onnx.ModelProto:
        from onnx import helper

        graph = helper.make_graph(self.nodes, "main", _values(inputs), _values(outputs), self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _values(specs: Specs) -> list[onnx.ValueInfoProto]:
    from onnx import helper

    return [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
        for name, (dtype, shape) in specs.items()
    ]


def _normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(1000 + seed).standard_normal(shape).astype(np.float32)


# ---------------------------------------------------------------- models
def conv_net(*, opset: int = 17) -> onnx.ModelProto:
    """Convolution + ReLU, depthwise, 1x1, pooling, Gemm with transposed weights, and a Softmax at the end."""
    g = _Graph()
    g.node("Conv", ["image", g.weight("w1", 8, 3, 3, 3), g.weight("b1", 8, scale=0.1)], "c1", pads=[1, 1, 1, 1])
    g.node("Relu", ["c1"], "r1")
    g.node(
        "Conv", ["r1", g.weight("w2", 8, 1, 3, 3), g.weight("b2", 8, scale=0.1)], "c2", group=8, strides=[2, 2], pads=[1, 1, 1, 1]
    )
    g.node("Relu", ["c2"], "r2")
    g.node("Conv", ["r2", g.weight("w3", 16, 8, 1, 1)], "c3")
    g.node("GlobalAveragePool", ["c3"], "pooled")
    g.node("Flatten", ["pooled"], "flat")
    g.node("Gemm", ["flat", g.weight("w4", 10, 16), g.weight("b4", 10, scale=0.1)], "logits", transB=1)
    g.node("Softmax", ["logits"], "probabilities", axis=1)
    return g.model({"image": (np.float32, [BATCH, 3, 15, 17])}, {"probabilities": (np.float32, [BATCH, 10])}, opset=opset)


def constants_net() -> onnx.ModelProto:
    """:func:`conv_net` in opset 11 with its weights in ``Constant`` nodes, as some exporters write them."""
    from onnx import helper

    model = conv_net(opset=11)
    constants = [helper.make_node("Constant", [], [weight.name], value=weight) for weight in model.graph.initializer]
    nodes = list(model.graph.node)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend([*constants, *nodes])
    return model


def conv1d_net() -> onnx.ModelProto:
    """Convolution over time."""
    g = _Graph(1)
    g.node("Conv", ["signal", g.weight("w1", 8, 1, 9), g.weight("b1", 8, scale=0.1)], "c1", strides=[4])
    g.node("Relu", ["c1"], "r1")
    g.node("Conv", ["r1", g.weight("w2", 4, 8, 3)], "score", dilations=[2])
    return g.model({"signal": (np.float32, [BATCH, 1, 101])}, {"score": (np.float32, [BATCH, 4, 20])})


def transformer_block() -> onnx.ModelProto:
    """One attention head with its projections, LayerNorm, GELU by Erf, residuals; free batch and length."""
    g, width = _Graph(2), 32
    g.node("LayerNormalization", ["tokens", g.constant("n1", np.ones(width, np.float32))], "normed", axis=-1)
    for part in "qkv":
        g.node("MatMul", ["normed", g.weight(f"w{part}", width, width)], f"{part}_product")
        g.node("Add", [f"{part}_product", g.weight(f"b{part}", width, scale=0.1)], part)
    g.node("Transpose", ["k"], "k_t", perm=[0, 2, 1])
    g.node("MatMul", ["q", "k_t"], "scores")
    g.node("Mul", ["scores", g.constant("root", np.float32(width**-0.5))], "scaled")
    g.node("Softmax", ["scaled"], "attention", axis=-1)
    g.node("MatMul", ["attention", "v"], "context")
    g.node("MatMul", ["context", g.weight("wo", width, width)], "projected")
    g.node("Add", ["projected", "tokens"], "residual")
    g.node("MatMul", ["residual", g.weight("wf", width, 64)], "wide")
    g.node("Div", ["wide", g.constant("root2", np.float32(2**0.5))], "wide_scaled")
    g.node("Erf", ["wide_scaled"], "erf")
    g.node("Add", ["erf", g.constant("one", np.float32(1))], "erf_1")
    g.node("Mul", ["wide", "erf_1"], "gelu_2")
    g.node("Mul", ["gelu_2", g.constant("half", np.float32(0.5))], "gelu")
    g.node("MatMul", ["gelu", g.weight("wb", 64, width)], "narrow")
    g.node("Add", ["narrow", "residual"], "hidden")
    shape: Sequence[int | str] = (BATCH, "length", width)
    return g.model({"tokens": (np.float32, shape)}, {"hidden": (np.float32, shape)})


def embedding_net() -> onnx.ModelProto:
    """Two int64 inputs, an embedding table, an int64 output beside the float one."""
    g, width = _Graph(3), 32
    g.node("Gather", [g.weight("words", 64, width, scale=1.0), "ids"], "word_rows")
    g.node("Gather", [g.weight("types", 2, width, scale=1.0), "type_ids"], "type_rows")
    g.node("Add", ["word_rows", "type_rows"], "embedded")
    g.node("MatMul", ["embedded", g.weight("w1", width, 48)], "hidden")
    g.node("Tanh", ["hidden"], "squashed")
    g.node("ReduceMean", ["squashed"], "pooled", axes=[1], keepdims=0)
    g.node("Gemm", ["pooled", g.weight("w2", 48, 8)], "logits", alpha=0.5)
    g.node("ArgMax", ["logits"], "label", axis=1, keepdims=0)
    ids: Sequence[int | str] = (BATCH, 7)
    outputs: Specs = {"logits": (np.float32, [BATCH, 8]), "label": (np.int64, [BATCH])}
    return g.model({"ids": (np.int64, ids), "type_ids": (np.int64, ids)}, outputs)


def pass_through_net() -> onnx.ModelProto:
    """An input that is an output as well."""
    g = _Graph(4)
    g.node("MatMul", ["features", g.weight("w", 32, 32)], "projected")
    shape: Sequence[int | str] = (BATCH, 32)
    key: Specs = {"key": (np.int64, [BATCH])}
    return g.model({"features": (np.float32, shape), **key}, {"projected": (np.float32, shape), **key})


def lstm_net() -> onnx.ModelProto:
    """A bidirectional LSTM of which only the last state is read (its first output is left out)."""
    from onnx import helper

    g, hidden = _Graph(5), 16
    w, r, b = g.weight("w", 2, 4 * hidden, 12), g.weight("r", 2, 4 * hidden, hidden), g.weight("b", 2, 8 * hidden, scale=0.1)
    g.nodes.append(helper.make_node("LSTM", ["steps", w, r, b], ["", "last"], hidden_size=hidden, direction="bidirectional"))
    g.node("Transpose", ["last"], "by_batch", perm=[1, 0, 2])
    g.node("Flatten", ["by_batch"], "state")
    g.node("Gemm", ["state", g.weight("wo", 2 * hidden, 5), g.weight("bo", 5, scale=0.1)], "logits")
    return g.model({"steps": (np.float32, [9, BATCH, 12])}, {"logits": (np.float32, [BATCH, 5])})


def conditional_net() -> onnx.ModelProto:
    """An ``If`` whose bodies capture a weight that the main graph uses too."""
    from onnx import TensorProto, helper

    g = _Graph(6)
    shape: Sequence[int | str] = (BATCH, 32)
    g.node("MatMul", ["features", g.weight("w", 32, 32)], "first")
    g.node("ReduceMean", ["features"], "mean", keepdims=0)
    g.node("Greater", ["mean", g.constant("zero", np.float32(0))], "positive")
    bodies = []
    for index, operator in enumerate(("Relu", "Tanh")):
        out = f"branch_{index}"
        nodes = [
            helper.make_node("MatMul", ["first", "w"], [f"{out}_product"]),
            helper.make_node(operator, [f"{out}_product"], [out]),
        ]
        value = helper.make_tensor_value_info(out, TensorProto.FLOAT, shape)
        bodies.append(helper.make_graph(nodes, out, [], [value]))
    g.node("If", ["positive"], "result", then_branch=bodies[0], else_branch=bodies[1])
    return g.model({"features": (np.float32, shape)}, {"result": (np.float32, shape)})


def shared_net() -> onnx.ModelProto:
    """One matrix that four layers share, once by a transposed Gemm."""
    g = _Graph(7)
    w, size = g.weight("w", 64, 64), 64
    g.node("MatMul", ["features", w], "h1")
    g.node("Relu", ["h1"], "a1")
    g.node("MatMul", ["a1", w], "h2")
    g.node("Relu", ["h2"], "a2")
    g.node("MatMul", ["a2", w], "h3")
    g.node("Gemm", ["h3", w], "result", transB=1)
    return g.model({"features": (np.float32, [BATCH, size])}, {"result": (np.float32, [BATCH, size])})


def static_shape_net() -> onnx.ModelProto:
    """No free dimension, a scalar output and sizes that are no multiple of anything."""
    g = _Graph(8)
    g.node("Gemm", ["features", g.weight("w", 7, 3), g.weight("b", 3, scale=0.1)], "h")
    g.node("ReduceSum", ["h"], "total", keepdims=0)
    return g.model({"features": (np.float32, [1, 7])}, {"h": (np.float32, [1, 3]), "total": (np.float32, [])})


def _ids(batch: int, seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {"ids": random.integers(0, 64, (batch, 7)), "type_ids": random.integers(0, 2, (batch, 7))}


CASES: dict[str, ModelCase] = {
    case.name: case
    for case in (
        ModelCase("conv", conv_net, lambda batch, seed: {"image": _normal(seed, batch, 3, 15, 17)}),
        ModelCase("constants", constants_net, lambda batch, seed: {"image": _normal(seed, batch, 3, 15, 17)}),
        ModelCase("conv1d", conv1d_net, lambda batch, seed: {"signal": _normal(seed, batch, 1, 101)}),
        ModelCase("transformer", transformer_block, lambda batch, seed: {"tokens": _normal(seed, batch, 5 + seed % 3, 32)}),
        ModelCase("embedding", embedding_net, _ids),
        ModelCase(
            "pass_through",
            pass_through_net,
            lambda batch, seed: {"features": _normal(seed, batch, 32), "key": np.arange(seed, seed + batch)},
        ),
        ModelCase("lstm", lstm_net, lambda batch, seed: {"steps": _normal(seed, 9, batch, 12)}),
        ModelCase("conditional", conditional_net, lambda batch, seed: {"features": _normal(seed, batch, 32)}),
        ModelCase("shared", shared_net, lambda batch, seed: {"features": _normal(seed, batch, 64)}),
        ModelCase("static_shape", static_shape_net, lambda _, seed: {"features": _normal(seed, 1, 7)}),
    )
}
