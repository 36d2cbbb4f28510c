"""One real bundle a test module, and a copy of it for each test that damages it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.bundles import small_bundle


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One bundle for the tests that only read it or copy it."""
    folder = tmp_path_factory.mktemp("bundle")
    return small_bundle(folder / "out", folder / "work")


@pytest.fixture
def bundle(shared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared, tmp_path / "bundle"))
