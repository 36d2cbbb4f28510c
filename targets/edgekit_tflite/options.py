"""The build options of each scheme, checked."""

from __future__ import annotations

from typing import Any

from edgekit.errors import ModelError
from edgekit.schemes import Int8Dynamic, Int8Static, Scheme
from edgekit.types import Candidate

#: What each option may be; the first is the default.
#: ``elementwise``: also element-wise operators compute in int8. ``last_layers``: those that the outputs come from; in float, an
#: output with a wide range keeps its small values. ``interface``: what inputs and outputs are stored as.
#: ``convolutions``: dynamic int8 also in convolutions. ``weight_scales``: the whole range, or OCTAV's clipped one
#: (https://arxiv.org/abs/2206.06501).
_WEIGHT_SCALES = ("minmax", "octav")
_STATIC: dict[str, tuple[Any, ...]] = {
    "elementwise": (False, True),
    "last_layers": ("int8", "float"),
    "interface": ("float", "int8"),
    "weight_scales": _WEIGHT_SCALES,
}
_DYNAMIC: dict[str, tuple[Any, ...]] = {"convolutions": (False, True), "weight_scales": _WEIGHT_SCALES}


def read_options(candidate: Candidate) -> dict[str, Any]:
    """The value of every option of the candidate's scheme.

    Raises:
        ModelError: an option that does not exist, or a value that it does not take.
    """
    known = _known(candidate.scheme)
    for name, value in candidate.build_options.items():
        if name not in known:
            raise ModelError(f"{candidate.scheme.slug} has no build option {name!r}", hint=f"known: {', '.join(known) or 'none'}")
        if value not in known[name] or type(value) is not type(known[name][0]):
            allowed = ", ".join(str(each) for each in known[name])
            raise ModelError(f"the build option {name!r} of {candidate.scheme.slug} is {value!r}", hint=f"one of {allowed}")
    return {name: candidate.build_options.get(name, values[0]) for name, values in known.items()}


def _known(scheme: Scheme) -> dict[str, tuple[Any, ...]]:
    if isinstance(scheme, Int8Static):
        return _STATIC
    return _DYNAMIC if isinstance(scheme, Int8Dynamic) else {}
