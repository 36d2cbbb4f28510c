"""Where agreement cannot tell a right candidate from a broken one: float decides the same for every sample that it is compared on.

A wake word that is never said, a class that is never seen: a candidate that always answers alike then agrees on everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from .fidelity import OutputKind, Outputs, decisions

if TYPE_CHECKING:
    from .judging import FloatView


def undecided(outputs: Iterable[Outputs], kinds: Mapping[str, OutputKind]) -> tuple[str, ...]:
    """The outputs that are compared by their decisions, and whose decisions are the same in each of ``outputs``, two or more."""
    rest = iter(outputs)
    first = next(rest, {})
    alike = {name: decisions(first[name], kind) for name, kind in kinds.items() if name in first and kind.kind in ("argmax", "iou")}
    several = False
    for each in rest:
        several = True
        alike = {name: found for name, found in alike.items() if np.array_equal(found, decisions(each[name], kinds[name]))}
        if not alike:
            break
    return tuple(sorted(alike)) if several else ()


def blindness_remark(view: FloatView) -> tuple[str, ...]:
    """A warning, unless labels or what the samples are (synthetic, which has a warning of its own) say more."""
    if view.synthetic or view.score is not None:
        return ()
    names = undecided(view.outputs, view.kinds)
    if not names:
        return ()
    return (
        f"agreement on {', '.join(names)} says little: float decides the same for every held-out sample, so a candidate that "
        "always does would agree; give samples of every class, or labelled ones with --eval",
    )
