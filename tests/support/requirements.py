"""What a test needs beyond Python: skipped with the reason for a user, required in CI."""

from __future__ import annotations

import importlib.util
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
IN_CI = os.environ.get("EDGEKIT_CI") == "1"


def missing(reason: str) -> NoReturn:
    """Skips a test, or a whole module while it is imported, for a user; fails in CI, which installs everything itself."""
    if IN_CI:
        pytest.fail(f"required in CI: {reason}")
    pytest.skip(reason, allow_module_level=True)


def needs(*packages: str) -> None:
    """Skips a test where one of these packages is not installed (required in CI)."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            missing(f"{package} is not installed")


def torch_models() -> ModuleType:
    """``support.torch_models``, which is imported only where torch is."""
    needs("torch", "onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from support import torch_models
    return torch_models


def models_folder() -> Path:
    """Where ``scripts/fetch_models`` puts the real models."""
    return Path(os.environ.get("EDGEKIT_MODELS") or ROOT / ".cache" / "models")
