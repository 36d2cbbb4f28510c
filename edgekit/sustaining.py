"""``--sustain``: who is measured in turn for minutes after the verdict, and what that does to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .contract import to_artifact
from .devices.plan import SustainPlan
from .measure.sustain import compare_over_time
from .types import CandidateReport, Feed, SustainReport
from .verdict import FASTER, is_full_precision

if TYPE_CHECKING:
    from .building import Built
    from .devices.session import AgentSession
    from .progress import Progress

NEAR = 1.10  # of the winner's latency: who is that close may be ahead when the device is hot
MAX_CANDIDATES = 6  # more would leave each too little of the time


def finalists(rows: Sequence[CandidateReport], winner: str | None) -> list[str]:
    """The winner, float, and those that hold every gate within 10 % of the winner's latency, fastest first after the winner."""
    timed = {row.id: row for row in rows if row.latency_s is not None}
    if winner not in timed:
        return []
    limit = NEAR * _p50(timed[winner])
    floats = sorted((row for row in timed.values() if is_full_precision(row.candidate)), key=_p50)
    near = sorted((row for row in timed.values() if row.accepted and _p50(row) <= limit), key=_p50)
    return list(dict.fromkeys([winner, *(row.id for row in floats), *(row.id for row in near)]))[:MAX_CANDIDATES]


def _p50(row: CandidateReport) -> float:
    assert row.latency_s is not None
    return row.latency_s.p50


def sustain(
    session: AgentSession, built: Mapping[str, Built], keys: Sequence[str], feed: Feed, duration_s: float, progress: Progress,
    *, rows: Sequence[CandidateReport] = (), winner: str | None = None, explicit_precision: bool = False,
) -> SustainReport:  # fmt: skip
    """Lets ``keys``, which are open in ``session``, run in turn. How long that takes is said first.

    Args:
        rows, winner, explicit_precision: of the verdict, which is judged again by the last quarter; without a winner nothing is.
    """
    progress.stage("sustaining")
    ends = datetime.now().astimezone() + timedelta(seconds=duration_s)
    progress.note(f"{', '.join(keys)} in turn for {_time(duration_s)}, until about {ends:%H:%M:%S}; Ctrl-C ends it")
    feeds = {key: to_artifact(feed, built[key].artifact.io) for key in keys}
    results = session.sustain(keys, feeds, SustainPlan.lasting(duration_s, len(keys)), progress.advance)
    floats = {row.id for row in rows if is_full_precision(row.candidate)}
    rivals = {row.id for row in rows if row.accepted} - (floats if explicit_precision else set())
    return compare_over_time(results, duration_s, winner=winner, rivals=rivals, floats=floats, faster=FASTER)


def _time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
