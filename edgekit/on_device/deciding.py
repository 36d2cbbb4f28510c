"""The choice on the device, by the host's own rules: close enough to float, and surely faster than it. Pure functions.

``edgekit.verdict.choose`` says the same of the same rows; a test holds one against the other.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Sequence, Tuple

from ..fidelity import Comparison
from ..measure.statistics import speedup, summarize
from ..types import Latency, Ratio
from .plan import PlannedCandidate

SAME_CLOSENESS_DB = 3.0  # twice the noise that the host found: another machine's rounding is far below, a wrong engine far above


class Seen(NamedTuple):
    """What one candidate did on the device. ``refused``: why it cannot win; empty when it may."""

    candidate: PlannedCandidate
    refused: str
    agreement: Optional[float] = None
    sqnr_db: Optional[float] = None
    rounds: Tuple[Tuple[float, ...], ...] = ()


class Judged(NamedTuple):
    """A row of the verdict. ``accepted``: right, whether or not it is faster."""

    seen: Seen
    accepted: bool
    reason: str
    latency: Optional[Latency] = None
    speedup: Optional[Ratio] = None


class Verdict(NamedTuple):
    winner: Optional[str]
    reason: str
    rows: List[Judged]


def refusal(candidate: PlannedCandidate, comparison: Comparison, needed: float) -> str:
    """Why the outputs on the golden inputs are not those of this candidate; empty when they are.

    Golden inputs are synthetic, and a model may be less sure of noise than of data. So where a candidate agrees with float less
    than the gate asks, it is enough that it is as close to float as it was on the host, where it held the gates on data.
    """
    if comparison.is_broken:
        return "its outputs are not finite or change their shape on the golden inputs"
    agreement = comparison.agreement()
    if agreement is None:
        return "nothing in its outputs can be compared with float"
    if agreement.value >= needed:
        return ""
    found, expected = comparison.sqnr_db, candidate.host_sqnr_db
    text = "it agrees with float on %.3f of the golden inputs (%s), which is below %g" % (agreement.value, agreement.kind, needed)
    if found is not None and expected is not None:
        if found >= expected - SAME_CLOSENESS_DB:
            return ""
        return text + ", and its SQNR of %.1f dB was %.1f dB on the host" % (found, expected)
    if found is None and comparison.cosine == 1:
        return ""
    return text


def decide(seen: Sequence[Seen], *, faster: float, has_chosen_precision: bool, objective: str = "latency") -> Verdict:
    """The winner among candidates that were measured in the same rounds.

    Float is replaced only by what is faster with 95 % confidence by more than ``faster``; among those within ``faster`` of the
    fastest the closest to float wins, then the smallest. ``has_chosen_precision``: the user named a precision, so float is only
    compared with.
    """
    rows = [_row(each) for each in seen]
    right = [row for row in rows if row.accepted]
    floats = [row for row in right if row.seen.candidate.is_float]
    challengers = [row for row in right if not row.seen.candidate.is_float]
    pool = challengers if has_chosen_precision else floats + challengers
    if not pool:
        whom = "nothing of the precision that was asked for" if has_chosen_precision else "no candidate, float included,"
        return Verdict(None, "%s is right here" % whom, rows)
    incumbent = _best(floats, faster) if floats else None
    if incumbent is not None:
        must_be = None if has_chosen_precision or objective == "size" else faster
        rows = [_beside(row, incumbent, must_be) for row in rows]
        right = [row for row in rows if row.accepted]
        challengers = [row for row in right if not row.seen.candidate.is_float]
    if objective == "size":
        everyone = challengers if has_chosen_precision else right
        best = min(everyone, key=lambda row: (row.seen.candidate.size_bytes, _p50(row)))
        return Verdict(_id(best), "the smallest that is right here (%d bytes)" % best.seen.candidate.size_bytes, rows)
    if has_chosen_precision or incumbent is None:
        best = _best(challengers, faster)
        return Verdict(_id(best), "the fastest that is right here" + _of_float(best, incumbent), rows)
    better = [row for row in challengers if row.speedup is not None and row.speedup.ci95[0] > faster]
    if not better:
        return Verdict(_id(incumbent), "%s is kept: nothing else that is right here is surely faster" % _id(incumbent), rows)
    best = _best(better, faster)
    return Verdict(_id(best), "it is right here%s" % _of_float(best, incumbent), rows)


def _row(seen: Seen) -> Judged:
    if seen.refused:
        return Judged(seen, False, seen.refused)
    return Judged(seen, True, "", summarize(seen.rounds))


def _beside(row: Judged, incumbent: Judged, faster: Optional[float]) -> Judged:
    """With its speed-up over float; of one that is right but, where it must be, not surely faster, why it does not win."""
    if not row.seen.rounds:
        return row
    ratio = speedup(incumbent.seen.rounds, row.seen.rounds)
    reason = row.reason
    if faster is not None and row.accepted and not row.seen.candidate.is_float and not ratio.ci95[0] > faster:
        reason = "right, but not surely faster than %s" % _id(incumbent)
    return row._replace(speedup=ratio, reason=reason)


def _best(rows: Sequence[Judged], faster: float) -> Judged:
    fastest = min(map(_p50, rows))
    ties = [row for row in rows if _p50(row) <= faster * fastest]
    return max(ties, key=lambda row: (_closeness_db(row), -row.seen.candidate.size_bytes))


def _closeness_db(row: Judged) -> float:
    return float("inf") if row.seen.sqnr_db is None else row.seen.sqnr_db  # None of one that is right: exactly float's outputs


def _p50(row: Judged) -> float:
    return row.latency.p50 if row.latency is not None else float("inf")


def _id(row: Judged) -> str:
    return row.seen.candidate.id


def describe(ratio: Ratio) -> str:
    """``"2.31x the speed (95 % interval 2.25 to 2.40)"``."""
    return "%.2fx the speed (95 %% interval %.2f to %.2f)" % (ratio.value, ratio.ci95[0], ratio.ci95[1])


def _of_float(row: Judged, incumbent: Optional[Judged]) -> str:
    if row.speedup is None or incumbent is None or row is incumbent:
        return ""
    return ", at %s of %s" % (describe(row.speedup), _id(incumbent))
