"""Changes of static int8's build options that bring real nets closer to float, likeliest first.

Measured with NNCF 3.4.0 as the SQNR in dB on held-out data, each change on top of those before it that helped:

=================  =======  ======  =====  ====  ========  =================
net                default  minmax  mixed  none  accurate  smooth_quant 0.8
=================  =======  ======  =====  ====  ========  =================
text recogniser       13.7            16.1  13.4      17.9
text detector         16.0    16.6    20.4  21.5      21.2
angle classifier      11.8    18.2    20.9  24.3      20.8
sentence encoder      23.0    23.2                                     25.0
=================  =======  ======  =====  ====  ========  =================

NNCF's default range, the mean of each feed's extremes, clips the first layer wherever pictures differ in brightness. Its fast bias
correction leaves depthwise convolutions out. No change is right for every net: "mixed" without "minmax" cost the recogniser 3 dB,
"accurate" cost the sentence encoder 17. The mean without outliers was worse on each, full-range weights in the first layer a tie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.schemes import Int8Static, Scalar

from .content import content_of

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.types import Candidate, Site

_CONVOLUTIONAL: list[dict[str, Scalar]] = [
    {"range_estimator": "minmax"},
    {"preset": "mixed"},
    {"bias_correction": "none"},
    {"bias_correction": "accurate"},
]
_OF_PRODUCTS: list[dict[str, Scalar]] = [{"range_estimator": "minmax"}, {"smooth_quant": 0.8}]
_NARROW_WEIGHTS: dict[str, Scalar] = {"half_range_weights": "all"}
#: Processors that add up products of bytes in 32 bits; any one will do. On others, 16-bit sums may overflow.
_WIDE_SUMS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"})


def refinements(model: Model, candidate: Candidate, site: Site) -> list[dict[str, Scalar]]:
    """Single changes to try on top of ``candidate``, at most five; empty for anything but static int8."""
    if not isinstance(candidate.scheme, Int8Static):
        return []
    changes = _OF_PRODUCTS if content_of(model).is_mostly_products else _CONVOLUTIONAL
    if site.device is not None and _WIDE_SUMS.isdisjoint(site.device.cpu_features):
        changes = [_NARROW_WEIGHTS, *changes]
    return [change for change in changes if not change.items() <= candidate.build_options.items()]
