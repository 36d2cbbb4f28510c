"""What a test needs beyond Python: skipped with the reason for a user, required in CI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
IN_CI = os.environ.get("EDGEKIT_CI") == "1"


def missing(reason: str) -> NoReturn:
    """Skips a test, or a whole module while it is imported, for a user; fails in CI, which installs everything itself."""
    if IN_CI:
        pytest.fail(f"required in CI: {reason}")
    pytest.skip(reason, allow_module_level=True)


def models_folder() -> Path:
    """Where ``scripts/fetch_models`` puts the real models."""
    return Path(os.environ.get("EDGEKIT_MODELS") or ROOT / ".cache" / "models")
