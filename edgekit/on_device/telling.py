"""The verdict as a document and as text. What runtimes and boards say of themselves is cleaned before it reaches a terminal."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from ..agent.timing import LOOP
from ..measure.loops import loops_remark
from ..types import Ratio
from .deciding import Judged, Verdict
from .plan import OnDevicePlan
from .running import Found

SCHEMA = "edgekit.on-device/1"
_LATENCY = ("p50", "p90", "p95", "p99", "mean", "n", "ci95")
_TOLD = ("load_s", "first_inference_s", "peak_memory_bytes", "fingerprint", "effective", "warm_up", "loop", "details")


def document(plan: OnDevicePlan, found: Found, verdict: Verdict, taken_utc: str) -> Dict[str, Any]:
    """The verdict (``edgekit.on-device/1``). Times are in seconds; what was not measured is null."""
    return {
        "schema": SCHEMA,
        "edgekit": plan.edgekit,
        "taken_utc": taken_utc,
        "model": plan.model,
        "profile": plan.profile,
        "device": found.facts,
        "winner": None
        if verdict.winner is None
        else {"id": verdict.winner, "provisional": found.facts.get("kind") != "real" or _is_stand_in(found)},
        "reason": verdict.reason,
        "warnings": list(_remarks(found, verdict)),
        "objective": plan.objective,
        "golden_inputs": {"n": plan.n_golden, "synthetic": True, "needed_agreement": plan.needed_agreement},
        "candidates": [_row(row, found) for row in verdict.rows],
        "loop": {"mode": found.bench.get("mode"), "cpus": found.bench.get("cpus"), "plan": plan.bench},
    }


def _remarks(found: Found, verdict: Verdict) -> Tuple[str, ...]:
    timed = [row.seen.candidate.id for row in verdict.rows if row.latency is not None]
    return loops_remark({key: str(found.told.get(key, {}).get("loop") or LOOP) for key in timed})


def _is_stand_in(found: Found) -> bool:
    """A runner may say of itself that it only plays a runtime."""
    return any(dict(told.get("fingerprint") or {}).get("stand_in") for told in found.told.values())


def _row(row: Judged, found: Found) -> Dict[str, Any]:
    candidate, latency = row.seen.candidate, row.latency
    told = found.told.get(candidate.id, {})
    return {
        "id": candidate.id,
        "scheme": candidate.scheme,
        "is_float": candidate.is_float,
        "accepted": row.accepted,
        "reason": row.reason,
        "latency_s": None if latency is None else {name: getattr(latency, name) for name in _LATENCY},
        "speedup_vs_float": _ratio(row.speedup),
        "golden": {
            "agreement": row.seen.agreement,
            "sqnr_db": row.seen.sqnr_db,
            "host_agreement": candidate.host_agreement,
            "host_sqnr_db": candidate.host_sqnr_db,
        },
        "size_bytes": candidate.size_bytes,
        **{name: told.get(name) for name in _TOLD},
    }


def _ratio(ratio: Optional[Ratio]) -> Optional[Dict[str, Any]]:
    return None if ratio is None else {"value": ratio.value, "ci95": list(ratio.ci95)}


def samples(verdict: Verdict) -> Dict[str, Any]:
    """{candidate: every latency sample in seconds, by round}."""
    return {row.seen.candidate.id: row.seen.rounds for row in verdict.rows if row.seen.rounds}


def text(plan: OnDevicePlan, found: Found, verdict: Verdict) -> List[str]:
    """The verdict in lines for a terminal."""
    board = found.facts.get("board") or found.facts.get("machine")
    lines = ["%s on %s" % (plan.model, board)]
    if found.facts.get("kind") != "real":
        lines.append("This is no real device (%s): its times are evidence of nothing." % found.facts.get("kind"))
    rows = [
        ("candidate", "latency", "against float", "agreement", "SQNR", ""),
        *(_cells(row, verdict.winner) for row in verdict.rows),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines += ["  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[5]]).rstrip() for row in rows]  # noqa: B905
    if plan.objective == "energy":
        lines.append("The objective was energy, which is not measured here: the verdict is by latency.")
    lines += ["warning: " + remark for remark in _remarks(found, verdict)]
    lines.append("winner: %s, %s" % (verdict.winner or "none", verdict.reason))
    return [clean(line) for line in lines]


def _cells(row: Judged, winner: Optional[str]) -> Tuple[str, ...]:
    seen, latency, ratio = row.seen, row.latency, row.speedup
    return (
        ("* " if seen.candidate.id == winner else "  ") + seen.candidate.id,
        "-" if latency is None else "%.3f ms" % (latency.p50 * 1e3),
        "-" if ratio is None else "%.2fx [%.2f, %.2f]" % (ratio.value, ratio.ci95[0], ratio.ci95[1]),
        "-" if seen.agreement is None else "%.3f" % seen.agreement,
        "-" if seen.sqnr_db is None else "%.1f dB" % seen.sqnr_db,
        row.reason,
    )


def clean(line: Any, most: int = 400) -> str:
    """One printable line: what a device says of itself must not steer a terminal."""
    printable = "".join(character if character.isprintable() else " " for character in str(line)[: 4 * most])
    return printable if len(printable) <= most else printable[: most - 3] + "..."
