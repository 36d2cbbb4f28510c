"""The choice among measured candidates. Pure: rows and rounds in, winner and reasons out.

Float is replaced only by a candidate whose speed-up over it is, with 95 % confidence, above 1.03. Among those within 3 % of the
fastest the one closest to float wins, then the smallest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    floats = [row for row in accepted if is_full_precision(row.candidate)]
    challengers = [row for row in accepted if not is_full_precision(row.candidate)]
    if not accepted:
        return Choice(tuple(limited), None, "no candidate, float included, met the gates")
    if explicit_precision:
        floats = []
        if not challengers:
            return Choice(tuple(limited), None, "no target accepts the precision that was asked for")
    if not any(row.latency_s for row in accepted):
        return _unmeasured(limited, floats, challengers, objective)
    if objective == "size":
        return _smallest(limited, accepted)
    if not floats:
        best, why = _best(challengers)
        return Choice(tuple(limited), best.id, why)
    incumbent = min(floats, key=_p50)
    faster: list[CandidateReport] = []
    kept: dict[str, str] = {}
    for row in challengers:
        ratio = speedup(measured[incumbent.id].rounds, measured[row.id].rounds)
        if ratio.ci95[0] > FASTER:
            faster.append(row)
        else:
            kept[row.id] = f"right, but not faster: {describe(ratio)} of {incumbent.id}"
    finished = tuple(replace(row, reason=kept[row.id]) if row.id in kept else row for row in limited)
    if not faster:
        return Choice(finished, incumbent.id, _why_float(finished, incumbent))
    best, why = _best(faster)
    ratio = speedup(measured[incumbent.id].rounds, measured[best.id].rounds)
    return Choice(finished, best.id, f"{describe(ratio)} of {incumbent.id}, and holds every gate{why and '; ' + why}")


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
    """The fastest; among ties (3 %) the closest to float, then the smallest."""
    fastest = min(rows, key=_p50)
    ties = [row for row in rows if _p50(row) <= FASTER * _p50(fastest)]
    best = max(ties, key=lambda row: (_sqnr(row), -(row.size_bytes or 0)))
    if len(ties) == 1:
        return best, ""
    return best, f"as fast as {', '.join(r.id for r in ties if r is not best)} within 3 %, and closer to float or smaller"


def _sqnr(row: CandidateReport) -> float:
    if row.fidelity is None or row.fidelity.sqnr_db is None:
        return float("inf") if row.fidelity is not None and row.fidelity.agreement == 1 else float("-inf")
    return row.fidelity.sqnr_db


def _smallest(rows: Sequence[CandidateReport], accepted: Sequence[CandidateReport]) -> Choice:
    best = min(accepted, key=lambda row: (row.size_bytes or 0, _p50(row)))
    return Choice(tuple(rows), best.id, f"the smallest of {len(accepted)} that hold every gate ({best.size_bytes} bytes)")


def _unmeasured(
    rows: Sequence[CandidateReport], floats: Sequence[CandidateReport], challengers: Sequence[CandidateReport], objective: str
) -> Choice:
    """Nothing was measured (no device): size decides where asked; otherwise float, or the likeliest of an explicit precision."""
    if objective == "size":
        return _smallest(rows, [*floats, *challengers])
    if floats:
        return Choice(tuple(rows), floats[0].id, "float is kept: without a measurement nothing is known to be faster")
    return Choice(tuple(rows), challengers[0].id, "the likeliest of the precision asked for; its speed was not measured")


def _why_float(rows: Sequence[CandidateReport], incumbent: CandidateReport) -> str:
    right = [row for row in rows if not is_full_precision(row.candidate) and row.reason.startswith("right, but not faster")]
    wrong = [
        row for row in rows if not is_full_precision(row.candidate) and row.stage in ("judged", "measured") and row not in right
    ]
    parts = []
    if right:
        parts.append(f"{len(right)} candidate{'s are' if len(right) > 1 else ' is'} right but not faster")
    if wrong:
        parts.append(f"{len(wrong)} {'do' if len(wrong) > 1 else 'does'} not hold the gates")
    return f"{incumbent.id} is kept: {', '.join(parts) or 'there was nothing else to try'}"
