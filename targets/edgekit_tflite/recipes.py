"""Changes of build options that bring real nets closer to float, likeliest first; each is kept only if the held-out error falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.schemes import Int8Dynamic, Int8Static, Scalar

if TYPE_CHECKING:
    from edgekit.types import Candidate

_FLOAT_ENDS: dict[str, Scalar] = {"last_layers": "float"}
_CLIPPED_WEIGHTS: dict[str, Scalar] = {"weight_scales": "octav"}


def refinements(candidate: Candidate) -> list[dict[str, Scalar]]:
    """Single changes to try on top of ``candidate``; empty for what has no such options."""
    changes: list[dict[str, Scalar]] = []
    if isinstance(candidate.scheme, Int8Static):
        changes.append(_FLOAT_ENDS)
    if isinstance(candidate.scheme, (Int8Static, Int8Dynamic)):
        changes.append(_CLIPPED_WEIGHTS)
    return [change for change in changes if not change.items() <= candidate.build_options.items()]
