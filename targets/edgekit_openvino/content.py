"""What candidates depend on in a model: counts, read once a model."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from edgekit.quantize import content
from edgekit.quantize.content import CONVOLUTIONS, PRODUCTS, Content

if TYPE_CHECKING:
    from edgekit.model import Model

STATIC_OPERATORS = (*CONVOLUTIONS, *PRODUCTS)


@functools.lru_cache(maxsize=8)  # ``candidates`` and ``reject`` ask several times a run
def content_of(model: Model) -> Content:
    """The content of ``model``; tables count, as their rows can be stored in 8 bits."""
    return content.content_of(model, tables=True)
