"""Nets from PyTorch in the shapes that people deploy, on a task that is made from a seed: ten patterns, moved and in noise.

The nets are not trained: their weights are random, their BatchNorm statistics have seen data, and the last layer is fitted by least
squares. So they tell the patterns apart, with margins like a trained net's, and there is nothing to download.

One feed is one picture: float32, 1 x 3 x 64 x 64, about -2..2.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from task_common import Feed, Predict, score_document
from torch import nn

from edgekit import from_torch

INPUT, SIDE_PX, CLASSES = "image", 64, 10
SHAPE = {INPUT: (1, 3, SIDE_PX, SIDE_PX)}
N_CALIBRATION, N_EVALUATION, N_THIRD = 100, 100, 500
_N_FIT, _RIDGE, _BRANCH = 400, 1e-1, 0.2


class Net(nn.Module):
    """``features`` gives a vector a picture; ``head`` is what is fitted."""

    def __init__(self, features: nn.Module, width: int) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(width, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(image))


def _conv(before: int, after: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(after)]


class _Pooled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


class _Bottleneck(nn.Module):
    def __init__(self, before: int, inside: int, stride: int) -> None:
        super().__init__()
        after = 4 * inside
        self.main = nn.Sequential(
            *_conv(before, inside, 1), nn.ReLU(), *_conv(inside, inside, 3, stride), nn.ReLU(), *_conv(inside, after, 1)
        )
        self.shortcut = nn.Identity() if stride == 1 and before == after else nn.Sequential(*_conv(before, after, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(x) + self.shortcut(x))


def resnet50() -> Net:
    """ResNet50's fifty layers at half their width."""
    blocks: list[nn.Module] = [*_conv(3, 32, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    before = 32
    for inside, depth, stride in ((32, 3, 1), (64, 4, 2), (128, 6, 2), (256, 3, 2)):
        for number in range(depth):
            blocks.append(_Bottleneck(before, inside, 1 if number else stride))
            before = 4 * inside
    return Net(nn.Sequential(*blocks, _Pooled()), before)


class _Basic(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*_conv(before, after, 3, stride), nn.ReLU(), *_conv(after, after, 3))
        self.shortcut = nn.Identity() if stride == 1 and before == after else nn.Sequential(*_conv(before, after, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(x) + self.shortcut(x))


def resnet18() -> Net:
    """ResNet18's eighteen layers at half their width."""
    blocks: list[nn.Module] = [*_conv(3, 32, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    before = 32
    for after, stride in ((32, 1), (64, 2), (128, 2), (256, 2)):
        blocks += [_Basic(before, after, stride), _Basic(after, after, 1)]
        before = after
    return Net(nn.Sequential(*blocks, _Pooled()), before)


class _Inverted(nn.Module):
    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = before * expansion
        wide = [*_conv(before, inside, 1), nn.ReLU6()] if expansion > 1 else []
        self.layers = nn.Sequential(*wide, *_conv(inside, inside, 3, stride, inside), nn.ReLU6(), *_conv(inside, after, 1))
        self.adds = stride == 1 and before == after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


def mobilenetv2() -> Net:
    """MobileNetV2's seventeen blocks at their own width, 640 features at the end."""
    blocks: list[nn.Module] = [*_conv(3, 32, 3, 2), nn.ReLU6()]
    before = 32
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, after, depth, stride in table:
        for number in range(depth):
            blocks.append(_Inverted(before, after, 1 if number else stride, expansion))
            before = after
    return Net(nn.Sequential(*blocks, *_conv(before, 640, 1), nn.ReLU6(), _Pooled()), 640)


class _Encoder(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.before_attention(x)).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        x = x + self.out(attended.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.before_mlp(x))


class _Tokens(nn.Module):
    """Patches of 8 x 8, their places, six encoder layers; the mean of what they say."""

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.places = nn.Parameter(torch.randn(1, (SIDE_PX // 8) ** 2, width) * 0.02)
        self.layers = nn.Sequential(*(_Encoder(width, heads) for _ in range(depth)), nn.LayerNorm(width))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        patches = self.patches(image).flatten(2).transpose(1, 2)
        return self.layers(patches + self.places).mean(1)


def vit() -> Net:
    """A vision transformer of ViT-Tiny's width and half its depth."""
    return Net(_Tokens(192, 3, 6), 192)


# ---------------------------------------------------------------- the task
@cache
def _patterns() -> npt.NDArray[np.float64]:
    """Ten smooth pictures of mean 0 and deviation 1: 8 x 8 random colours each, enlarged."""
    coarse = np.random.default_rng(7).standard_normal((CLASSES, 3, 8, 8))
    place = np.linspace(0, 7, SIDE_PX)
    below = np.minimum(place.astype(int), 6)
    part = place - below
    rows = coarse[:, :, below] * (1 - part)[:, None] + coarse[:, :, below + 1] * part[:, None]
    smooth = rows[..., below] * (1 - part) + rows[..., below + 1] * part
    normal: npt.NDArray[np.float64] = (smooth - smooth.mean((2, 3), keepdims=True)) / smooth.std((2, 3), keepdims=True)
    return normal


def pictures(first: int, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Pictures ``first`` to ``first + n`` of one endless row, each from a seed of its own, and which pattern each shows."""
    images = np.empty((n, 3, SIDE_PX, SIDE_PX), np.float32)
    labels = np.empty(n, np.int64)
    for row, number in enumerate(range(first, first + n)):
        rng = np.random.default_rng([7, number])
        labels[row] = rng.integers(CLASSES)
        shifted = np.roll(_patterns()[labels[row]], rng.integers(-1, 2, 2), axis=(1, 2))
        images[row] = rng.uniform(0.8, 1.2) * shifted + 0.05 * rng.standard_normal(shifted.shape)
    return images, labels


def _calmed(net: Net) -> None:
    """Residual branches that add little, as in trained nets: many random layers on top of one another are chaos."""
    for block in net.modules():
        if isinstance(block, nn.Conv2d) and block.groups > 1:
            block.weight.mul_(0.3)
            block.weight[:, :, 1, 1] += 1  # depthwise kernels look at their own place first
        if isinstance(block, _Basic | _Bottleneck) or (isinstance(block, _Inverted) and block.adds):
            *_, last = block.layers if isinstance(block, _Inverted) else block.main
            last.weight.fill_(_BRANCH)


def fitted(net: Net) -> Net:
    """The net with BatchNorm statistics of the task's pictures and a head that is fitted to 400 of them."""
    images, labels = pictures(10_000, _N_FIT)
    batches = torch.from_numpy(images).split(50)
    with torch.no_grad():
        _calmed(net)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # the mean over all batches
        net.train()
        for batch in batches[:8]:
            net(batch)
        net.eval()
        found = torch.cat([net.features(batch) for batch in batches]).double()
        mean, spread = found.mean(0), found.std(0)
        spread = spread.clamp(min=float(0.05 * spread.max()))  # what hardly varies must not be made the loudest
        normal = torch.cat([(found - mean) / spread, torch.ones(_N_FIT, 1, dtype=torch.float64)], 1)
        wanted = 10 * torch.nn.functional.one_hot(torch.from_numpy(labels), CLASSES).double()
        penalty = _RIDGE * _N_FIT * torch.eye(normal.shape[1], dtype=torch.float64)
        solved = torch.linalg.solve(normal.T @ normal + penalty, normal.T @ wanted)
        weight = (solved[:-1] / spread[:, None]).T
        net.head.weight.copy_(weight)
        net.head.bias.copy_(solved[-1] - weight @ mean)
    return net


def exported(kind: Any) -> Any:
    """The ONNX file of the fitted net; what edgekit's cache holds already is not exported again."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same bytes on every machine, and quicker for nets this small
    try:
        torch.manual_seed(0)
        net = fitted(kind())
    finally:
        torch.set_num_threads(threads)
    return from_torch(net, {INPUT: torch.from_numpy(pictures(0, 1)[0])}, name=kind.__name__)


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 100 pictures."""
    for image in pictures(0, N_CALIBRATION)[0]:
        yield {INPUT: image[None]}


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: the share of 100 patterns that are told right."""
    return _score(predict, N_CALIBRATION, N_EVALUATION)


def third(predict: Predict) -> dict[str, Any]:
    """The score on 500 pictures that edgekit is never given."""
    return _score(predict, N_CALIBRATION + N_EVALUATION, N_THIRD)


def _score(predict: Predict, first: int, n: int) -> dict[str, Any]:
    images, labels = pictures(first, n)
    found = [int(np.argmax(next(iter(predict({INPUT: image[None]}).values())))) for image in images]
    hits = [a == int(b) for a, b in zip(found, labels, strict=True)]
    return score_document("accuracy", hits, [f"pattern {label}" for label in labels], found)
