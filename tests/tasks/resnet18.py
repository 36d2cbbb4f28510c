"""A ResNet18 from PyTorch that tells patterns apart: see torch_nets.py. Needs torch.

Deploy with ``--calib tests/tasks/resnet18.py:calibration --eval tests/tasks/resnet18.py:evaluate``.
"""

from __future__ import annotations

from pathlib import Path

from torch_nets import SHAPE, calibration, evaluate, exported, third
from torch_nets import resnet18 as net

__all__ = ["SHAPE", "calibration", "evaluate", "model", "third"]


def model() -> Path:
    """The net's ONNX file: made at the first call, in edgekit's cache."""
    path: Path = exported(net)
    return path
