"""Every test has folders of its own; what is missing is a printed skip for a user and a failure in CI."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# This machine has one lease; tests must neither wait for somebody's deploy nor make it wait.
_LEASE = tempfile.TemporaryDirectory(prefix="edgekit-tests-")
os.environ["EDGEKIT_LEASE_DIR"] = _LEASE.name


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test touches the user's configuration, cache or installed state."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("EDGEKIT_HOME", str(home))
    monkeypatch.setenv("EDGEKIT_GUEST_HOME", str(home / "guest"))
    yield home
