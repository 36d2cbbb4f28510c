"""The real tasks of ``tests/tasks``, loaded as modules."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from support.requirements import ROOT, missing

from edgekit.feed_checks import hash_feed

TASKS = ROOT / "tests" / "tasks"


class Recorder:
    """``predict`` that answers the same to everything, and remembers the hashes of what it was asked."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.hashes: list[str] = []

    def __call__(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        self.hashes.append(hash_feed(feed))
        return self.answer


@cache
def task(name: str) -> ModuleType:
    """One of ``tests/tasks``, loaded once; without its model the test is skipped (required in CI)."""
    spec = importlib.util.spec_from_file_location(f"task_{name}", TASKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(TASKS))
    try:
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        if not module.model().exists():
            missing(f"the model of {name} is not here: run scripts/fetch_models")
    except ImportError as problem:
        missing(str(problem))
    finally:
        sys.path.remove(str(TASKS))
    return module
