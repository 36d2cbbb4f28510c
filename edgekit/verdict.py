"""The choice among measured candidates. Pure: rows and rounds in, winner and reasons out.

Float is replaced only by a candidate whose speed-up over it is, with 95 % confidence, above 1.03. Among those within 3 % of the
fastest the one closest to float wins, then the smallest. With the objective energy the same holds for inferences a joule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from .schemes import AsIs, Float32
from .types import Candidate, CandidateReport, Measurement, Ratio

if TYPE_CHECKING:
    from .request import LatencyLimit

FASTER = 1.03  # differences below 3 % are ties


@dataclass(frozen=True)
class Choice:
    rows: tuple[CandidateReport, ...]
    winner: str | None
    reason: str


#: How the reason of a row begins that the budget left no time for.
NOT_TRIED = "not tried: "


def is_full_precision(candidate: Candidate) -> bool:
    """The target's own baseline: float32, or the model as it came when it is quantized already."""
    return isinstance(candidate.scheme, (Float32, AsIs))


def choose(
    rows: Sequence[CandidateReport],
    measured: Mapping[str, Measurement],
    *,
    objective: str,
    explicit_precision: bool,
    max_latency: LatencyLimit | None,
    joules: Mapping[str, Sequence[float]] | None = None,
) -> Choice:
    """Decides. ``rows`` have been judged; those with ``accepted`` held the quality gates.

    ``joules``: gross joules an inference by candidate, one value a repeat; for the objective energy.

    With an explicit ``--precision`` the user has chosen the precision: the best accepted candidate of it wins even when it is not
    faster than float (and its speed-up says so).
    """
    limited = [_within_limit(row, max_latency) for row in rows]
    accepted = [row for row in limited if row.accepted]
    challengers = [row for row in accepted if not is_full_precision(row.candidate)]
    floats = [] if explicit_precision else [row for row in accepted if is_full_precision(row.candidate)]
    pool = [*floats, *challengers]
    if not pool:
        return Choice(tuple(limited), None, _why_nothing(limited, explicit_precision=explicit_precision))
    if objective == "size":
        best = min(pool, key=lambda row: (row.size_bytes or 0, _p50(row)))
        return Choice(tuple(limited), best.id, f"the smallest of {len(pool)} that hold every gate ({best.size_bytes} bytes)")
    scale = _Energy(joules or {}) if objective == "energy" else _Speed(measured)
    known = [row for row in pool if scale.cost(row) < float("inf")]
    if not known:
        best = pool[0]
        why = f"float is kept: without a measurement nothing is known to be {scale.better}"
        instead = f"the likeliest that holds every gate; its {scale.name} was not measured"
        return Choice(tuple(limited), best.id, why if floats else instead)
    if not floats:
        best, tied = _best(challengers, scale)
        return Choice(tuple(limited), best.id, f"the {scale.best} of {len(pool)} that hold every gate{_of_float(best)}{tied}")
    incumbent, _ = _best(floats, scale)
    ratios = {row.id: scale.ratio(incumbent, row) for row in challengers}
    better = [row for row in challengers if _lower_bound(ratios[row.id]) > FASTER]
    kept = {row.id: ratios[row.id] for row in challengers if row not in better}
    finished = tuple(
        replace(row, reason=_why_not_taken(kept[row.id], scale, incumbent)) if row.id in kept else row for row in limited
    )
    if not better:
        return Choice(finished, incumbent.id, _why_float(finished, incumbent, kept, scale))
    best, tied = _best(better, scale)
    taken = ratios[best.id]
    assert taken is not None
    return Choice(finished, best.id, f"{describe(taken, scale.unit)} of {incumbent.id}, and holds every gate{tied}")


@dataclass(frozen=True)
class _Speed:
    """What is compared with the objective latency: lower cost is better, a ratio above 1 too."""

    measured: Mapping[str, Measurement]
    name, better, best, how, unit = "speed", "faster", "fastest", "as fast as", "the speed"

    def cost(self, row: CandidateReport) -> float:
        return _p50(row)

    def ratio(self, incumbent: CandidateReport, row: CandidateReport) -> Ratio | None:
        from .measure.statistics import speedup

        return speedup(self.measured[incumbent.id].rounds, self.measured[row.id].rounds)


@dataclass(frozen=True)
class _Energy:
    """What is compared with the objective energy: a repeat stands for a round."""

    joules: Mapping[str, Sequence[float]]
    name, better, best, how, unit = "energy", "more frugal", "most frugal", "as frugal as", "the inferences a joule"

    def cost(self, row: CandidateReport) -> float:
        return fmean(self.joules[row.id]) if row.id in self.joules else float("inf")

    def ratio(self, incumbent: CandidateReport, row: CandidateReport) -> Ratio | None:
        from .measure.statistics import speedup

        ours, theirs = self.joules.get(incumbent.id, ()), self.joules.get(row.id, ())
        if not ours or len(ours) != len(theirs):
            return None
        return speedup([[joules] for joules in ours], [[joules] for joules in theirs])


_Scale = _Speed | _Energy


def _lower_bound(ratio: Ratio | None) -> float:
    return ratio.ci95[0] if ratio is not None else 0.0


def _why_not_taken(ratio: Ratio | None, scale: _Scale, incumbent: CandidateReport) -> str:
    if ratio is None:
        return f"right, but its {scale.name} or that of {incumbent.id} was not measured"
    return f"right, but not {scale.better}: {describe(ratio, scale.unit)} of {incumbent.id}"


def describe(ratio: Ratio, unit: str = "the speed") -> str:
    """``"2.31x the speed (95 % interval 2.25 to 2.40)"``."""
    return f"{ratio.value:.2f}x {unit} (95 % interval {ratio.ci95[0]:.2f} to {ratio.ci95[1]:.2f})"


def _p50(row: CandidateReport) -> float:
    return row.latency_s.p50 if row.latency_s else float("inf")


def _within_limit(row: CandidateReport, limit: LatencyLimit | None) -> CandidateReport:
    if limit is None or not row.accepted or row.latency_s is None:
        return row
    value = float(getattr(row.latency_s, limit.percentile))
    if value <= limit.seconds:
        return row
    return replace(
        row, accepted=False, reason=f"{limit.percentile} {value * 1e3:.3g} ms is over the limit of {limit.seconds * 1e3:.3g} ms"
    )


def _best(rows: Sequence[CandidateReport], scale: _Scale) -> tuple[CandidateReport, str]:
    """The one that costs least; among ties (3 %) the closest to float, then the smallest. With the sentence that says so."""
    cheapest = min(rows, key=scale.cost)
    ties = [row for row in rows if scale.cost(row) <= FASTER * scale.cost(cheapest)]
    best = max(ties, key=lambda row: (_closeness_db(row), -(row.size_bytes or 0)))
    if len(ties) == 1:
        return best, ""
    return best, f"; {scale.how} {', '.join(r.id for r in ties if r is not best)} within 3 %, and closer to float or smaller"


def _closeness_db(row: CandidateReport) -> float:
    """The SQNR; infinite where the outputs are exactly float's, minus infinite where it has no value."""
    if row.fidelity is None:
        return float("-inf")
    if row.fidelity.sqnr_db is None:
        return float("inf") if row.fidelity.cosine == 1 else float("-inf")
    return row.fidelity.sqnr_db


def _of_float(row: CandidateReport) -> str:
    return f": {describe(row.speedup_vs_own_float)} of float" if row.speedup_vs_own_float else ""


def _why_nothing(rows: Sequence[CandidateReport], *, explicit_precision: bool) -> str:
    if not explicit_precision:
        return "no candidate, float included, holds every gate"
    tried = [row for row in rows if not is_full_precision(row.candidate) and row.stage != "rejected"]
    return "nothing of the precision that was asked for " + ("holds every gate" if tried else "can be tried")


def _why_float(rows: Sequence[CandidateReport], incumbent: CandidateReport, kept: Collection[str], scale: _Scale) -> str:
    wrong = [
        row for row in rows if not row.accepted and row.stage in ("judged", "measured") and not is_full_precision(row.candidate)
    ]
    unscored = [row for row in rows if row.stage == "built"]
    untried = [row for row in rows if row.stage == "rejected" and row.reason.startswith(NOT_TRIED)]
    parts = []
    if kept:
        parts.append(f"{len(kept)} candidate{'s are' if len(kept) > 1 else ' is'} right but not {scale.better}")
    if wrong:
        parts.append(f"{len(wrong)} {'do' if len(wrong) > 1 else 'does'} not hold the gates")
    if unscored:
        parts.append(
            f"{len(unscored)} did not run or was not scored"
            if len(unscored) == 1
            else f"{len(unscored)} did not run or were not scored"
        )
    if untried:
        parts.append(f"the budget was too small to try {len(untried)} other{'s' if len(untried) > 1 else ''}")
    return f"{incumbent.id} is kept: {', '.join(parts) or 'there was nothing else to try'}"
