"""Deploys that are not about the search, nor about how exactly something is measured: both have tests of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edgekit import refinement, sparing
from edgekit.devices.plan import BenchPlan


@contextmanager
def as_offered() -> Iterator[None]:
    """Meanwhile, in this process, a run without a budget takes candidates as targets offer them, and measures no longer than one
    whose budget is spent.
    """
    within = BenchPlan.within
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "REFINING_S", 0.0)
        patch.setattr(sparing, "SPARING_S", 0.0)
        patch.setattr(BenchPlan, "within", lambda plan, remaining_s, candidates: within(plan, 0.0, candidates))
        yield
