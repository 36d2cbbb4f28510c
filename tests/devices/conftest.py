"""A toy runner, its files, and the promise that no test leaves a process behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.guest_fixtures import no_process_left, own_lease, toy  # noqa: F401 - fixtures


@pytest.fixture
def guest_home() -> Path:
    return Path(os.environ["EDGEKIT_GUEST_HOME"])
