"""Changes of build options that bring real nets closer to float, likeliest first; each is kept only if the held-out error falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.schemes import Int8Dynamic, Int8Static, Scalar

if TYPE_CHECKING:
    from edgekit.types import Candidate

_CLIPPED_WEIGHTS: dict[str, Scalar] = {"weight_scales": "octav"}


def refinements(candidate: Candidate) -> list[dict[str, Scalar]]:
    """Single changes to try on top of ``candidate``; empty for what has no such options."""
    if not isinstance(candidate.scheme, (Int8Static, Int8Dynamic)) or "weight_scales" in candidate.build_options:
        return []
    return [_CLIPPED_WEIGHTS]
