"""The choice among measured candidates. Pure: rows and rounds in, winner and reasons out.

Float is replaced only by a candidate whose speed-up over it is, with 95 % confidence, above 1.03. Among those within 3 % of the
fastest the one closest to float wins, then the smallest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
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
) -> Choice:
    """Decides. ``rows`` have been judged; those with ``accepted`` held the quality gates.

    With an explicit ``--precision`` the user has chosen the precision: the best accepted candidate of it wins even when it is not
    faster than float (and its speed-up says so).
    """
    from .measure.statistics import speedup

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
    if not any(row.latency_s for row in pool):
        best = pool[0]
        why = "float is kept: without a measurement nothing is known to be faster"
        return Choice(tuple(limited), best.id, why if floats else "the likeliest that holds every gate; its speed was not measured")
    if not floats:
        best, tied = _best(challengers)
        return Choice(tuple(limited), best.id, f"the fastest of {len(pool)} that hold every gate{_of_float(best)}{tied}")
    incumbent, _ = _best(floats)
    ratios = {row.id: speedup(measured[incumbent.id].rounds, measured[row.id].rounds) for row in challengers}
    faster = [row for row in challengers if ratios[row.id].ci95[0] > FASTER]
    kept = {row.id for row in challengers if row not in faster}
    finished = tuple(
        replace(row, reason=f"right, but not faster: {describe(ratios[row.id])} of {incumbent.id}") if row.id in kept else row
        for row in limited
    )
    if not faster:
        return Choice(finished, incumbent.id, _why_float(finished, incumbent, kept))
    best, tied = _best(faster)
    return Choice(finished, best.id, f"{describe(ratios[best.id])} of {incumbent.id}, and holds every gate{tied}")


def describe(ratio: Ratio) -> str:
    """``"2.31x the speed (95 % interval 2.25 to 2.40)"``."""
    return f"{ratio.value:.2f}x the speed (95 % interval {ratio.ci95[0]:.2f} to {ratio.ci95[1]:.2f})"


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


def _best(rows: Sequence[CandidateReport]) -> tuple[CandidateReport, str]:
    """The fastest; among ties (3 %) the closest to float, then the smallest. With the sentence that says so, if there are any."""
    fastest = min(rows, key=_p50)
    ties = [row for row in rows if _p50(row) <= FASTER * _p50(fastest)]
    best = max(ties, key=lambda row: (_closeness_db(row), -(row.size_bytes or 0)))
    if len(ties) == 1:
        return best, ""
    return best, f"; as fast as {', '.join(r.id for r in ties if r is not best)} within 3 %, and closer to float or smaller"


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


def _why_float(rows: Sequence[CandidateReport], incumbent: CandidateReport, kept: Collection[str]) -> str:
    wrong = [
        row for row in rows if not row.accepted and row.stage in ("judged", "measured") and not is_full_precision(row.candidate)
    ]
    unscored = [row for row in rows if row.stage == "built"]
    parts = []
    if kept:
        parts.append(f"{len(kept)} candidate{'s are' if len(kept) > 1 else ' is'} right but not faster")
    if wrong:
        parts.append(f"{len(wrong)} {'do' if len(wrong) > 1 else 'does'} not hold the gates")
    if unscored:
        parts.append(
            f"{len(unscored)} did not run or was not scored"
            if len(unscored) == 1
            else f"{len(unscored)} did not run or were not scored"
        )
    return f"{incumbent.id} is kept: {', '.join(parts) or 'there was nothing else to try'}"
