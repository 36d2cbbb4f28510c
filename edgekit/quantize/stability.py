"""Whether a calibration can be relied on: do its two halves say the same, and is the held-out data like it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..types import JSON
from .ranges import PERCENTILE, percentile_range
from .statistics import Statistics, TensorStatistics

#: How far the percentile ranges of the two halves may lie apart, as a fraction of the range of both.
TOLERANCE = 0.1
#: Beyond this fraction of the tensors, what was seen of some is said of the whole calibration.
MANY = 0.1
#: The fraction of a tensor's held-out values outside all that was seen in calibration that is taken for other data.
SATURATED = 1e-3
#: How far outside, as a fraction of the range: a single value just beyond the rest is nothing unusual.
BEYOND = 0.25
_SHOWN = 8


@dataclass(frozen=True)
class HeldOut:
    """One tensor's held-out values beside its calibration.

    Attributes:
        saturated: the fraction of them outside the least and the greatest value seen in calibration (to within one bin).
        beyond: how far the farthest lies outside, as a fraction of what was seen; 0 where none does.
    """

    saturated: float
    beyond: float

    @property
    def is_unlike(self) -> bool:
        return self.saturated > SATURATED or self.beyond > BEYOND


def difference(one: TensorStatistics, other: TensorStatistics) -> float:
    """How far apart the two percentile ranges are: the larger distance of their ends, as a fraction of the range of both.

    The outermost values of all are left out: they differ between any two sets, and no range but minmax depends on them.
    """
    if not (one.count and other.count):
        return 0.0 if one.count == other.count else 1.0
    a, b = (percentile_range(each, PERCENTILE, symmetric=False) for each in (one, other))
    span = max(a.high, b.high) - min(a.low, b.low)
    apart = max(abs(a.high - b.high), abs(a.low - b.low))
    return apart / span if span > 0 else 0.0


def differences(statistics: Statistics) -> dict[str, float]:
    """{tensor: :func:`difference` of the two halves}; empty where there is only one feed."""
    even, odd = statistics.halves
    return {name: difference(even[name], odd[name]) for name in even if name in odd}


def is_stable(statistics: Statistics) -> bool:
    """Whether the two halves agree on nearly all tensors: then twice as many feeds would not say anything else."""
    found = differences(statistics)
    return bool(found) and _n_over(found) <= MANY * len(found)


def _n_over(found: dict[str, float]) -> int:
    return sum(value > TOLERANCE for value in found.values())


def beside_held_out(fit: Statistics, held_out: Statistics) -> dict[str, HeldOut]:
    """{tensor: how its held-out values lie beside those of the calibration}."""
    there = held_out.tensors
    return {name: _held_out(tensor, there[name]) for name, tensor in fit.tensors.items() if name in there and there[name].count}


def _held_out(fit: TensorStatistics, held_out: TensorStatistics) -> HeldOut:
    low, high = min(fit.minimum, 0.0), max(fit.maximum, 0.0)
    edges = held_out.histogram.edges()
    outside = (edges[1:] <= low) | (edges[:-1] >= high)
    saturated = float(np.sum(held_out.histogram.counts[outside])) / held_out.count
    furthest = max(low - held_out.minimum, held_out.maximum - high, 0.0)
    beyond = furthest / (high - low) if high > low else float(furthest > 0)
    return HeldOut(saturated if furthest else 0.0, beyond)


def calibration_report(fit: Statistics, held_out: Statistics | None = None) -> dict[str, JSON]:
    """What the ``calibration`` of a report says of the statistics: plain JSON.

    ``{n_feeds, n_tensors, n_unstable, tolerance, worst: [{tensor, difference}], n_unlike, unlike: [{tensor, saturated, beyond}],
    warnings: [sentence]}``; ``n_unlike`` and ``unlike`` are None when no held-out statistics are given.
    """
    found = differences(fit)
    worst = sorted(found.items(), key=lambda item: -item[1])[:_SHOWN]
    report: dict[str, JSON] = {
        "n_feeds": fit.n_feeds,
        "n_tensors": len(fit.tensors),
        "n_unstable": _n_over(found),
        "tolerance": TOLERANCE,
        "worst": [{"tensor": name, "difference": value} for name, value in worst],
        "n_unlike": None,
        "unlike": None,
        "warnings": _too_small(fit, found),
    }
    if held_out is not None:
        unlike = {name: each for name, each in beside_held_out(fit, held_out).items() if each.is_unlike}
        far = sorted(unlike.items(), key=lambda item: -item[1].saturated)[:_SHOWN]
        report["n_unlike"] = len(unlike)
        report["unlike"] = [{"tensor": name, "saturated": each.saturated, "beyond": each.beyond} for name, each in far]
        report["warnings"] += _unlike(fit, len(unlike))
    nonfinite = sorted(name for name, tensor in fit.tensors.items() if tensor.n_nonfinite)
    if nonfinite:
        report["warnings"].append(
            f"{len(nonfinite)} tensors had infinite values or NaN in calibration, the first is {nonfinite[0]}"
        )
    return report


def _too_small(fit: Statistics, found: dict[str, float]) -> list[str]:
    if fit.n_feeds < 2:
        return ["there is one calibration sample: how much its ranges can be relied on is not known"]
    n_over = _n_over(found)
    if n_over <= MANY * len(found):
        return []
    return [
        f"the calibration set is too small: with every other of its {fit.n_feeds} samples left out, the ranges of {n_over} of "
        f"{len(found)} tensors move by over {TOLERANCE:.0%}; give more samples"
    ]


def _unlike(fit: Statistics, n_unlike: int) -> list[str]:
    if n_unlike <= MANY * len(fit.tensors):
        return []
    return [
        f"the held-out data are unlike the calibration data: in {n_unlike} of {len(fit.tensors)} tensors values lie outside of "
        "what was seen in calibration; give samples of everything that the model will meet"
    ]
