"""The gates a candidate must pass before its speed matters. Pure functions of scores and agreements.

- The metric may fall by at most ``max_drop``, signed by ``higher_is_better``; a percentage is relative to float's value.
- Every slice likewise; a slice of n samples cannot resolve less than 2/n, so it may fall by that, marked ``resolution_limited``.
- Agreement with float is always required: a metric that holds while agreement collapses is blind, and is flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .fidelity import Comparison
from .types import Agreement, Fidelity, Score, SliceVerdict

if TYPE_CHECKING:
    from .request import Drop

MIN_AGREEMENT_WITHOUT_LABELS = 0.98
MIN_AGREEMENT_WITH_LABELS = 0.95


@dataclass(frozen=True)
class Gates:
    """What is demanded. ``min_agreement`` None takes the default for whether labels are there."""

    max_drop: Drop
    min_agreement: float | None = None

    def agreement_needed(self, *, labels: bool) -> float:
        if self.min_agreement is not None:
            return self.min_agreement
        return MIN_AGREEMENT_WITH_LABELS if labels else MIN_AGREEMENT_WITHOUT_LABELS


@dataclass(frozen=True)
class Judgement:
    accepted: bool
    reason: str
    fidelity: Fidelity
    agreement: Agreement | None


def drop_of(float_value: float, value: float, *, higher_is_better: bool) -> float:
    """How much was lost: positive is worse."""
    return float_value - value if higher_is_better else value - float_value


def allowed_drop(limit: Drop, float_value: float) -> float:
    """The largest fall that ``limit`` allows, in the metric's own unit."""
    return limit.value * abs(float_value) if limit.relative else limit.value


def judge(
    gates: Gates, comparison: Comparison, agreement: Agreement | None, float_score: Score | None, score: Score | None
) -> Judgement:
    """Holds one candidate against the gates.

    Args:
        comparison: its outputs beside float's on held-out (or synthetic) feeds.
        agreement: the one that is gated: of predictions where the evaluation returns them, otherwise of outputs.
        float_score, score: the evaluation of float and of the candidate; both None without labelled data.
    """
    slices = _slices(gates, float_score, score) if float_score and score else {}
    incomparable = _incomparable(float_score, score) if float_score and score else ""
    metric_reason = _metric_reason(gates, float_score, score) if float_score and score else ""
    held_out = comparison.agreement()
    needed = gates.agreement_needed(labels=score is not None)
    disagrees = agreement is not None and not agreement.value >= needed
    reasons = [text for text in (incomparable, metric_reason) if text]
    if comparison.is_broken:
        reasons.append(f"outputs are not finite or change their shape on some of {comparison.feeds} held-out feeds")
    if agreement is None:
        reasons.append("nothing in the outputs can be compared with float")
    reasons += [_slice_reason(name, s) for name, s in slices.items() if not s.accepted]
    suspicious = None
    if disagrees and agreement is not None:
        where = (
            "synthetic input"
            if agreement.synthetic
            else f"{agreement.n} {'samples' if agreement.kind == 'predictions' else 'feeds'}"
        )
        text = f"agreement with float {agreement.value:.3f} ({agreement.kind}, {where}) is below {needed:g}"
        reasons.append(text)
        if float_score and score and not metric_reason:
            suspicious = (
                f"{score.name} holds ({float_score.value:.4g} -> {score.value:.4g}) while {text}: the metric is blind to the change"
            )
    fidelity = Fidelity(
        sqnr_db=comparison.sqnr_db,
        cosine=comparison.cosine,
        agreement=agreement.value if agreement else None,
        held_out_agreement=held_out.value if held_out else None,
        metric_name=score.name if score else None,
        metric=score.value if score else None,
        metric_float=float_score.value if float_score else None,
        higher_is_better=score.higher_is_better if score else None,
        n=score.n if score else None,
        slices=slices,
        suspicious=suspicious,
    )
    return Judgement(not reasons, "; ".join(reasons), fidelity, agreement)


def _metric_reason(gates: Gates, float_score: Score, score: Score) -> str:
    drop = drop_of(float_score.value, score.value, higher_is_better=score.higher_is_better)
    allowed = allowed_drop(gates.max_drop, float_score.value)
    if drop <= allowed + 1e-12:
        return ""
    return f"{score.name} {float_score.value:.4g} -> {score.value:.4g} falls by {drop:.3g}, more than {allowed:.3g}"


def _incomparable(float_score: Score, score: Score) -> str:
    """Why a score cannot be held against float's: it is of something else."""
    if (score.name, score.higher_is_better) != (float_score.name, float_score.higher_is_better):
        return f"the evaluation returned {score.name!r} for it and {float_score.name!r} for float"
    if score.n != float_score.n:
        return f"it was scored on {score.n} samples, float on {float_score.n}"
    if set(score.slices) != set(float_score.slices):
        odd = ", ".join(repr(name) for name in sorted(set(score.slices) ^ set(float_score.slices)))
        return f"slice {odd} was scored for one of it and float only"
    return ""


def _slices(gates: Gates, float_score: Score, score: Score) -> dict[str, SliceVerdict]:
    verdicts = {}
    is_rate = _is_rate(float_score) and _is_rate(score)
    for name, reference in float_score.slices.items():
        if name not in score.slices:
            continue
        value = score.slices[name].value
        drop = drop_of(reference.value, value, higher_is_better=score.higher_is_better)
        allowed = allowed_drop(gates.max_drop, reference.value)
        resolution = 2 / reference.n if is_rate and reference.n > 0 else 0.0
        accepted = drop <= max(allowed, resolution) + 1e-12
        verdicts[name] = SliceVerdict(
            value=value,
            n=reference.n,
            value_float=reference.value,
            drop=drop,
            allowed=max(allowed, resolution),
            accepted=accepted,
            resolution_limited=resolution > allowed,
        )
    return verdicts


def _is_rate(score: Score) -> bool:
    """Whether the metric counts samples: two of n mean nothing for an error in pixels, or for a mean of probabilities."""
    if score.per_sample is not None:
        return all(value in (0, 1) for value in score.per_sample)
    values = [score.value, *(part.value for part in score.slices.values())]
    return score.higher_is_better and all(0 <= value <= 1 for value in values)


def _slice_reason(name: str, s: SliceVerdict) -> str:
    return f"slice {name!r} {s.value_float:.4g} -> {s.value:.4g} falls by {s.drop:.3g}, more than {s.allowed:.3g} (n={s.n})"
