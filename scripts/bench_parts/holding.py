"""Whether an artifact holds edgekit's default gates on a set of data, and on a set that nobody has chosen it by.

On the evaluation data the gates are edgekit's own, slices included. On the third set chance is allowed for, since nothing was
chosen by it: what matters is whether the 95 % interval reaches the gate. Slices are too small there for that and are left out.
"""

from __future__ import annotations

import math

from edgekit.fidelity import Comparison
from edgekit.gates import Gates, allowed_drop, drop_of, judge
from edgekit.measure.statistics import paired_drop_bound
from edgekit.request import Drop
from edgekit.types import Agreement, Score

from .records import Quality

GATES = Gates(Drop(0.01))
MIN_AGREEMENT = GATES.agreement_needed(labels=True)
_Z_975 = 1.959964


def on_evaluation(reference: Score, score: Score, agreement: Agreement, comparison: Comparison) -> Quality:
    """By the gates that a deploy applies. ``comparison``: of outputs, where the task returns no predictions; else an empty one."""
    judgement = judge(GATES, comparison, agreement, reference, score)
    return _quality(reference, score, agreement, holds=judgement.accepted, reason=judgement.reason)


def on_third(reference: Score, score: Score, agreement: Agreement, comparison: Comparison) -> Quality:
    """By metric and agreement, each allowed to reach its gate with its 95 % interval."""
    failed: list[str] = []
    by_chance: list[str] = []
    drop = drop_of(reference.value, score.value, higher_is_better=score.higher_is_better)
    allowed = allowed_drop(GATES.max_drop, reference.value)
    if drop > allowed + 1e-12:
        interval = drop_interval(reference, score)
        text = f"{score.name} falls by {drop:.4f}, more than {allowed:.4f}"
        (by_chance if interval is not None and interval[0] <= allowed else failed).append(text)
    if agreement.value < MIN_AGREEMENT:
        text = f"agreement {agreement.value:.3f} is below {MIN_AGREEMENT:g}"
        counted = agreement.kind == "predictions"
        reached = counted and wilson_interval(round(agreement.value * agreement.n), agreement.n)[1] >= MIN_AGREEMENT
        (by_chance if reached else failed).append(text)
    if comparison.is_broken:
        failed.append("outputs are not finite or change their shape")
    reason = "; ".join(failed) or ("within the interval: " + "; ".join(by_chance) if by_chance else "")
    return _quality(reference, score, agreement, holds=not failed, reason=reason)


def _quality(reference: Score, score: Score, agreement: Agreement, *, holds: bool, reason: str) -> Quality:
    interval = drop_interval(reference, score)
    return Quality(score.value, score.n, interval, agreement.value, agreement.kind, holds, reason)


def drop_interval(reference: Score, score: Score) -> tuple[float, float] | None:
    """Paired 95 % interval of the loss, positive is worse; None without values a sample."""
    if reference.per_sample is None or score.per_sample is None or len(reference.per_sample) != len(score.per_sample):
        return None
    low, high = paired_drop_bound(reference.per_sample, score.per_sample)
    return (low, high) if score.higher_is_better else (-high, -low)


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson, Journal of the American Statistical Association 22, 1927)."""
    share, z2 = hits / n, _Z_975**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    margin = _Z_975 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - margin), min(1.0, centre + margin)
