"""Small PyTorch nets of the shapes that people deploy, with seeded random weights. Import it only where torch is."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

IMAGE = (3, 32, 32)
CLASSES = 10


class _Residual(nn.Module):
    """ResNet's basic block."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        same = stride == 1 and before == after
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet18(nn.Module):
    """Eighteen layers as in the original, an eighth as wide."""

    def __init__(self) -> None:
        super().__init__()
        widths = (8, 16, 32, 64)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        blocks, before = [], 8
        for stage, width in enumerate(widths):
            blocks += [_Residual(before, width, 2 if stage else 1), _Residual(width, width, 1)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(image)).mean((2, 3)))


class _InvertedResidual(nn.Module):
    """MobileNetV2's block: wide inside, depthwise, ReLU6, linear at its end."""

    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = before * expansion
        self.adds = stride == 1 and before == after
        self.layers = nn.Sequential(
            nn.Conv2d(before, inside, 1, bias=False), nn.BatchNorm2d(inside), nn.ReLU6(),
            nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False), nn.BatchNorm2d(inside), nn.ReLU6(),
            nn.Conv2d(inside, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


class MobileNetV2(nn.Module):
    """Six blocks, dropout before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        settings = ((8, 1, 1), (12, 2, 4), (12, 1, 4), (16, 2, 4), (16, 1, 4), (24, 1, 4))
        layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()]
        before = 8
        for after, stride, expansion in settings:
            layers.append(_InvertedResidual(before, after, stride, expansion))
            before = after
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(before, CLASSES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.adaptive_avg_pool2d(self.features(image), 1).flatten(1))


class _Encoder(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.before_attention(x)).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        x = x + self.out(attended.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.before_mlp(x))


class VisionTransformer(nn.Module):
    """Patches of 8x8, a class token, two encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        width = 48
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, 17, width) * 0.02)
        self.layers = nn.Sequential(_Encoder(width, 3), _Encoder(width, 3))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CLASSES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        patches = self.patches(image).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(patches.shape[0], -1, -1), patches], 1) + self.positions
        return self.head(self.layers(tokens)[:, 0])


class OneLayer(nn.Module):
    """A net that is exported in no time."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(IMAGE[0], CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.head(image.mean((2, 3))))


def net(kind: type[nn.Module], seed: int = 0) -> nn.Module:
    """A seeded net whose BatchNorm statistics have seen data, in training mode, as it comes out of a training script."""
    torch.manual_seed(seed)
    made = kind().train()
    with torch.no_grad():
        for _ in range(4):
            made(torch.randn(16, *IMAGE))
    return made


def pictures(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``n`` noisy pictures [n, 3, 32, 32], each of one of ten coarse patterns, and which one it is [n]."""
    patterns = (
        torch.randn(CLASSES, 3, 8, 8, generator=torch.Generator().manual_seed(5)).repeat_interleave(4, 2).repeat_interleave(4, 3)
    )
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=random)
    return 2 * patterns[labels] + torch.randn(n, *IMAGE, generator=random), labels


def taught(kind: type[nn.Module], steps: int = 40) -> nn.Module:
    """A net that tells the patterns apart: one with random weights is undecided, and any rounding changes its answers."""
    made, threads = net(kind), torch.get_num_threads()
    torch.set_num_threads(1)  # two that wait for each other crawl on a busy machine
    optimizer = torch.optim.Adam(made.parameters(), 3e-3)
    for step in range(steps):
        images, labels = pictures(32, seed=step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(made(images), labels).backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return made.eval()


def example(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, *IMAGE, generator=torch.Generator().manual_seed(1))


def calibration(n: int = 40) -> list[dict[str, Any]]:
    """Feeds of one picture."""
    random = np.random.default_rng(3)
    return [{"image": random.normal(size=(1, *IMAGE)).astype(np.float32)} for _ in range(n)]


def save_pt2(path: Path, module: nn.Module, inputs: tuple[Any, ...], dynamic_shapes: Any = None) -> Path:
    """What a user writes: ``torch.export.save(torch.export.export(model.eval(), inputs), path)``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes, strict=False), path)
    return path
