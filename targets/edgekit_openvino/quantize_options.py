"""The build options of static int8, checked. The names are the field's; what NNCF calls them is in :mod:`.quantize_static`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.errors import ModelError
from edgekit.schemes import Scalar

CHOICES = {
    "preset": ("auto", "performance", "mixed"),
    "range_estimator": ("mean_minmax", "minmax", "mean_no_outliers", "percentile"),
    "bias_correction": ("fast", "accurate", "none"),
    "model_type": ("auto", "transformer", "none"),
    "half_range_weights": ("first_layer", "all", "none"),
}
SMOOTH_QUANT_OFF = "off"


@dataclass(frozen=True)
class StaticOptions:
    """How activations and weights are quantized. The defaults are NNCF's own.

    ``preset``: "performance" is symmetric throughout, "mixed" has asymmetric activations; "auto" is mixed for transformers.
    ``range_estimator``: what the range of an activation is: the mean over the feeds of its extremes in each, the extremes of all
    ("minmax"), the mean without outlying feeds ("mean_no_outliers"), or the mean of the outermost 0.01 % ("percentile").
    ``bias_correction``: of each layer by itself ("fast"), or layer after layer in the quantized net ("accurate", with a fifth of
    the feeds).
    ``model_type``: "auto" is transformer where a model has attention or LayerNorm, and more products than convolutions.
    ``smooth_quant``: the migration strength alpha of SmoothQuant in [0, 1], or "off"; for transformers only.
    ``half_range_weights``: whose weights use 7 bits, so that the 16-bit sums of processors without VNNI do not overflow.
    """

    preset: str = "auto"
    range_estimator: str = "mean_minmax"
    bias_correction: str = "fast"
    model_type: str = "auto"
    smooth_quant: float | str = 0.95
    half_range_weights: str = "first_layer"


def read_options(options: Mapping[str, Scalar]) -> StaticOptions:
    """The options that ``options`` sets, the defaults for all others.

    Raises:
        ModelError: an option that does not exist, or a value that it does not take.
    """
    for name, value in options.items():
        if name in CHOICES:
            if value not in CHOICES[name]:
                raise _refused(name, value, f"one of {', '.join(CHOICES[name])}")
        elif name != "smooth_quant":
            known = sorted((*CHOICES, "smooth_quant"))
            raise ModelError(f"static int8 has no build option {name!r}", hint=f"known: {', '.join(known)}")
        elif value != SMOOTH_QUANT_OFF and (isinstance(value, (bool, str)) or not 0 <= value <= 1):
            raise _refused(name, value, f"a number from 0 to 1, or {SMOOTH_QUANT_OFF!r}")
    return StaticOptions(**options)  # type: ignore[arg-type] # every value was checked above


def _refused(name: str, value: Scalar, wanted: str) -> ModelError:
    return ModelError(f"the build option {name!r} of static int8 is {value!r}", hint=wanted)
