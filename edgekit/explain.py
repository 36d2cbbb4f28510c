"""Why a candidate was refused, in a sentence or two: which operators broke it, what that shows in, and what it would have gained.

Pure functions of a row, its table of damage and its speed-up; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping

from .report.text import one_line
from .types import CandidateReport, Fidelity, NodeId, Ratio, SliceVerdict

MOST_NAMED = 3
WORTH_NAMING = 0.05  # of the output's error; an operator with less is one of the others
MOST_SLICES = 2


def explain(row: CandidateReport, damage: Mapping[NodeId, float], speedup: Ratio | None) -> str:
    """``"what broke: conv_3 (41 %), conv_0 (22 %) and 5 others (37 %); slice 'dark' 0.910 -> 0.740. It would have gained 1.80x."``

    Args:
        row: a candidate that does not hold the gates.
        damage: the share of the output's error energy that each operator contributes; empty where it is not known.
        speedup: over the reference; None where it was not measured.
    """
    broke = [text for text in (what_broke(damage), what_it_shows_in(row)) if text]
    first = "; ".join(broke) or f"what broke: {one_line(row.reason) or 'not known'}"
    gain = what_it_would_have_gained(speedup)
    return f"{first}." + (f" {gain}." if gain else "")


def what_broke(damage: Mapping[NodeId, float]) -> str:
    """The operators that most of the error comes from, largest first; empty without a table.

    Equal shares are named in the order of their names, so that the sentence is the same each time.
    """
    ranked = sorted(((share, name) for name, share in damage.items() if share > 0), key=lambda pair: (-pair[0], pair[1]))
    if not ranked:
        return ""
    named = [pair for pair in ranked[:MOST_NAMED] if pair[0] >= WORTH_NAMING]
    if not named:
        share, name = ranked[0]
        return f"what broke: no operator alone; the error comes from {len(ranked)}, {one_line(name)} the most ({_percent(share)})"
    text = ", ".join(f"{one_line(name)} ({_percent(share)})" for share, name in named)
    others = ranked[len(named) :]
    if others:
        text += f" and {len(others)} other{'s' if len(others) > 1 else ''} ({_percent(sum(share for share, _ in others))})"
    return f"what broke: {text}"


def what_it_shows_in(row: CandidateReport) -> str:
    """The slices that fell too far, the worst first; where none did, the metric or the agreement; empty where neither fell."""
    fidelity = row.fidelity
    if fidelity is None:
        return ""
    broken = sorted(
        ((name, part) for name, part in fidelity.slices.items() if not part.accepted), key=lambda pair: (-pair[1].drop, pair[0])
    )
    if broken:
        shown = ", ".join(_slice(name, part) for name, part in broken[:MOST_SLICES])
        return shown + (f" and {len(broken) - MOST_SLICES} more" if len(broken) > MOST_SLICES else "")
    if _metric_fell(fidelity):
        return f"{one_line(fidelity.metric_name)} {fidelity.metric_float:.3f} -> {fidelity.metric:.3f}"
    if row.agreement is not None and row.agreement.value < 1:
        return f"agreement with float {row.agreement.value:.3f}"
    return ""


def what_it_would_have_gained(speedup: Ratio | None) -> str:
    """Its speed-up; an interval that holds 1 is no gain and no loss."""
    if speedup is None:
        return ""
    low, high = speedup.ci95
    if low > 1:
        return f"It would have gained {speedup.value:.2f}x"
    if high < 1:
        return f"It would have gained nothing: {speedup.value:.2f}x the speed of float"
    return "It would have gained nothing: it is as fast as float"


def _slice(name: str, part: SliceVerdict) -> str:
    return f"slice {one_line(name)!r} {part.value_float:.3f} -> {part.value:.3f}"


def _metric_fell(fidelity: Fidelity) -> bool:
    if fidelity.metric is None or fidelity.metric_float is None:
        return False
    drop = fidelity.metric_float - fidelity.metric
    return drop > 0 if fidelity.higher_is_better is not False else drop < 0


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 else "under 1 %"
