"""Changes of static int8's build options that bring real nets closer to float, likeliest first.

``passes``: "bias" takes what quantization adds to a channel on average off its bias,
"batch-norm" puts normalizations into convolutions, "equalize" balances channels between two convolutions
(:mod:`edgekit.quantize.passes`). Measured on x86 without VNNI as the SQNR in dB on held-out data, 24 calibration feeds:

=================  =============  ============  =============================
net, range method  without        bias          batch-norm, equalize and bias
=================  =============  ============  =============================
recogniser, mse    15.0           16.6          14.0
recogniser, minmax 14.4           16.0          14.6
detector, mse      15.0           15.8          15.7
angle, mse         15.2           18.3          20.8
angle, minmax      8.8            10.9          19.1
sentence encoder   18.2           18.6          (no convolutions)
digits             38.8           40.6          40.6
=================  =============  ============  =============================

None is right for every net, so each is tried on held-out data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.schemes import Int8Static, Scalar

from .content import content_of

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.types import Candidate

_BIAS: dict[str, Scalar] = {"passes": "bias"}
_EQUALIZED: dict[str, Scalar] = {"passes": "batch-norm,equalize,bias"}


def refinements(model: Model, candidate: Candidate) -> list[dict[str, Scalar]]:
    """Single changes to try on top of ``candidate``; empty for anything but static int8."""
    if not isinstance(candidate.scheme, Int8Static):
        return []
    changes = [_BIAS, _EQUALIZED] if content_of(model).operators["Conv"] > 1 else [_BIAS]
    return [change for change in changes if not change.items() <= candidate.build_options.items()]
