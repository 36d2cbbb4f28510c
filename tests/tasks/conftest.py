"""Tasks are imported by their plain names here, as they import one another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.tasks import TASKS


@pytest.fixture(autouse=True, scope="module")
def _tasks_on_path() -> Iterator[None]:
    """Task names are short (``pages``): none stays imported. For all of a file at once, so that a page is rendered once."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TASKS))
        yield
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == TASKS:
            del sys.modules[name]
