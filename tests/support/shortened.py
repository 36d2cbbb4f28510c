"""Deploys with what they offer, and no search beyond it: refining and sparing have tests of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edgekit import refinement, sparing


@contextmanager
def as_offered() -> Iterator[None]:
    """Meanwhile, in this process, candidates of a run without a budget are taken as their targets offer them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "REFINING_S", 0.0)
        patch.setattr(sparing, "SPARING_S", 0.0)
        yield
