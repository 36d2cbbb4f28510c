"""Changes of int8's build options that often bring a net closer to float, likeliest first; each is tried on held-out data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.schemes import Int8Static, Scalar

from .content import content_of

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.types import Candidate

_BIAS: dict[str, Scalar] = {"passes": "bias"}
_CLIPPED: dict[str, Scalar] = {"range_method": "percentile"}
_EQUALIZED: dict[str, Scalar] = {"passes": "batch-norm,equalize,bias"}


def refinements(model: Model, candidate: Candidate) -> list[dict[str, Scalar]]:
    """Single changes to try on top of ``candidate``; empty for anything but int8 of edgekit's own."""
    if not (isinstance(candidate.scheme, Int8Static) or candidate.scheme.slug == "int8+fp16") or model.quantized:
        return []
    # Activations of transformers have rare outliers, which one scale for a whole tensor had better clip.
    changes = [_BIAS, _EQUALIZED] if content_of(model).operators["Conv"] > 1 else [_BIAS, _CLIPPED]
    return [change for change in changes if not change.items() <= candidate.build_options.items()]
