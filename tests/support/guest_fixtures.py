"""Fixtures for tests that start agents; a conftest imports them by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .guests import Toy, children_of


@pytest.fixture(autouse=True)
def own_lease(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's real lease is not touched."""
    folder = tmp_path_factory.mktemp("lease")
    monkeypatch.setenv("EDGEKIT_LEASE_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_process_left(own_lease: Path) -> Iterator[None]:
    before = set(children_of(os.getpid()))
    yield
    assert set(children_of(os.getpid())) <= before


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    toy = Toy(tmp_path)
    toy.add_file("model.bin", b"weights")
    return toy
