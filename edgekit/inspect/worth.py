"""What each kind of compression buys: a neutral sentence here, and what a target itself knows from measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from ..targets import Target
from .types import Kind

_NEUTRAL: dict[Kind, str] = {
    "unstructured-sparsity": "a smaller download only, unless the runtime has sparse kernels: dense ones multiply zeros too",
    "2:4-sparsity": "speed on accelerators with 2:4 sparse units only; elsewhere a smaller download",
    "masked-structured": "no speed until the zero filters are removed from the graph; a smaller download until then",
    "factorized": "fewer operations in float; measure whether the gain is left after int8",
    "clustered": "a smaller download only: the weights are expanded and computed with as float",
    "quantized-residue": "the values are rounded already, so int8 should cost little more; stored as float it saves nothing",
    "shared-weights": "a smaller file and less memory as long as every tool on the way keeps them shared",
    "duplicated-weights": "nothing: the copies cost space; they are merged when edgekit builds",
    "quantized": "deployed as it is; quantizing it a second time would only add error",
}
assert set(_NEUTRAL) == set(get_args(Kind))

CANNOT_TELL = (
    "structured pruning whose filters were removed: the result looks like a smaller architecture",
    "distillation: it leaves no trace in a graph",
    "quantization-aware training against quantization after training: the graphs are the same",
)


def worth_of(kind: Kind, targets: Sequence[Target]) -> dict[str, str]:
    """What ``kind`` buys on each target by name.

    A target may have an attribute ``compression_worth``: ``Mapping[Kind, str]``. Without targets, or where one does not say, the
    neutral sentence stands under ``"any"``.
    """
    known = {t.name: told[kind] for t in targets if kind in (told := getattr(t, "compression_worth", {}))}
    return known if known and len(known) == len(targets) else {**known, "any": _NEUTRAL[kind]}
