"""Models of the engine's benchmark, made with seeded weights: their numbers mean nothing, their shapes are those of real nets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 20261126
OPSET = 17
PICTURE = (1, 3, 224, 224)
BLOCKS = ((3, 64, 256), (4, 128, 512), (6, 256, 1024), (3, 512, 2048))  # of a ResNet50: how many, inner and outer channels
EXTERNAL_OVER_BYTES = 1024


def feeds(name: str, shape: tuple[int, ...], n: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """``n`` feeds of standard normal values under the input's name; the same each time."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        yield {name: rng.standard_normal(shape, dtype=np.float32)}


class Builder:
    """Nodes and weights in the order in which they are asked for."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(SEED)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, *shape: int, scale: float) -> str:
        name = f"weight_{len(self.weights)}"
        values = self.rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, x: str, channels: tuple[int, int], kernel: int, stride: int = 1, gain: float = 1.0) -> str:
        """With He's initialisation times ``gain``, and a bias, as batch normalisation leaves one when it is folded."""
        into, out = channels
        scale = gain * (2 / (into * kernel * kernel)) ** 0.5
        weight, bias = self.weight(out, into, kernel, kernel, scale=scale), self.weight(out, scale=0.1)
        return self.node("Conv", x, weight, bias, strides=[stride] * 2, pads=[kernel // 2] * 4)

    def save(self, path: Path, x: tuple[int, ...], output: str, *, external: bool = False) -> None:
        graph = helper.make_graph(
            self.nodes,
            "benchmark",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        if external:
            onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=EXTERNAL_OVER_BYTES)
        else:
            onnx.save(onnx.shape_inference.infer_shapes(model), path)


def resnet50(path: Path) -> None:
    """53 convolutions and a product, batch normalisation folded, ``x`` 1x3x224x224: the activations of a ResNet50."""
    made = Builder()
    x = made.node("Relu", made.conv("x", (3, 64), 7, 2))
    x, channels = made.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 64
    for stage, (count, inner, outer) in enumerate(BLOCKS):
        for block in range(count):
            stride = 2 if stage and not block else 1
            shortcut = x if block else made.conv(x, (channels, outer), 1, stride)
            y = made.node("Relu", made.conv(x, (channels, inner), 1))
            y = made.node("Relu", made.conv(y, (inner, inner), 3, stride))
            y = made.conv(y, (inner, outer), 1, gain=0.3)  # else a residual net without training grows with its depth
            x, channels = made.node("Relu", made.node("Add", y, shortcut)), outer
    flat = made.node("Flatten", made.node("GlobalAveragePool", x))
    logits = made.node("Gemm", flat, made.weight(channels, 1000, scale=channels**-0.5), made.weight(1000, scale=0.01))
    made.save(path, PICTURE, logits)


MANY_INPUT = (1, 16, 16, 16)


def many_operators(path: Path, conv_blocks: int = 120, product_blocks: int = 400) -> int:
    """A chain of some 3,000 operators: residual blocks of convolutions, then of products. Returns how many."""
    made, x, width = Builder(), "x", MANY_INPUT[1]
    for _ in range(conv_blocks):
        y = made.node("Relu", made.conv(x, (width, width), 3))
        x = made.node("Relu", made.node("Add", made.conv(y, (width, width), 3, gain=0.1), x))
    x = made.node("Flatten", x)
    x = made.node("MatMul", x, made.weight(int(np.prod(MANY_INPUT)), 64, scale=1 / 64))
    for _ in range(product_blocks):
        y = made.node("Add", made.node("MatMul", x, made.weight(64, 128, scale=0.15)), made.weight(128, scale=0.1))
        y = made.node("MatMul", made.node("Relu", y), made.weight(128, 64, scale=0.01))
        x = made.node("Add", made.node("Add", y, made.weight(64, scale=0.01)), x)
    made.save(path, MANY_INPUT, x)
    return len(made.nodes)


WIDE_INPUT = (1, 2048)


def external_weights(path: Path, blocks: int = 4, width: int = WIDE_INPUT[1]) -> int:
    """Blocks of two products, 134 MB each at the default width, in a file beside the model. Returns the bytes of both files."""
    made, x = Builder(), "x"
    for _ in range(blocks):
        y = made.node("Relu", made.node("MatMul", x, made.weight(width, 4 * width, scale=(2 / width) ** 0.5)))
        x = made.node("Add", made.node("MatMul", y, made.weight(4 * width, width, scale=0.3 * (4 * width) ** -0.5)), x)
    made.save(path, (1, width), x, external=True)
    return sum(file.stat().st_size for file in (path, path.with_name(f"{path.name}.data")))
