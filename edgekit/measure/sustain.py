"""What minutes of work do to a verdict: the last quarter of a sustained run beside its first minute. Pure functions of turns.

A benchmark of seconds is over before a fanless board is hot. The candidates ran in turn, so each cycle of turns is a round as in
the usual measurement, and speeds of the last quarter are compared cycle by cycle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ..types import Latency, Ratio, Reading, RunFailure, SustainBucket, Sustained, SustainReport, SustainRow, Turn
from .statistics import speedup, summarize
from .trust import held_down, lowest_clocks

FIRST_S = 60.0
MAX_BUCKETS = 60
MIN_CYCLES = 5  # in the last quarter, to say anything about the verdict


def first_and_last_s(elapsed_s: float) -> tuple[float, float]:
    """Lengths of the two stretches that are compared: the first minute and the last quarter; in a short run a quarter each."""
    return min(FIRST_S, elapsed_s / 4), elapsed_s / 4


def compare_over_time(
    results: Mapping[str, Sustained | RunFailure],
    planned_s: float,
    *,
    winner: str | None,
    rivals: Collection[str],
    floats: Collection[str],
    faster: float,
) -> SustainReport:
    """The report of a sustained run.

    Args:
        results: of each candidate, by id.
        winner: the verdict's choice, None where there was none to make (a profile).
        rivals: those that the verdict could have chosen instead; the others ran beside them for comparison.
        floats: those of full precision; one that is slower than float when hot would not have replaced it.
        faster: what the lower 95 % bound of a speed-up must exceed to count as faster.
    """
    sustained = {key: result for key, result in results.items() if isinstance(result, Sustained) and result.turns}
    elapsed_s = max((result.elapsed_s for result in sustained.values()), default=0.0)
    first_s, last_s = first_and_last_s(elapsed_s)
    rows = tuple(_row(key, result, elapsed_s) for key, result in results.items())
    judged = {key: result for key, result in sustained.items() if key == winner or key in rivals}
    would_change, reason = _judge(judged, elapsed_s - last_s, winner, floats, faster)
    return SustainReport(
        planned_s=planned_s,
        elapsed_s=elapsed_s,
        first_s=first_s,
        last_s=last_s,
        rows=rows,
        ranking_first=_ranking({row.id: row.first for row in rows}),
        ranking_last=_ranking({row.id: row.last for row in rows}),
        would_change=would_change,
        reason=reason,
    )


def _row(key: str, result: Sustained | RunFailure, elapsed_s: float) -> SustainRow:
    if isinstance(result, RunFailure):
        return SustainRow(key, failure=f"{result.kind}: {result.message}")
    if not result.turns:
        return SustainRow(key, failure="it had no turn")
    first_s, last_s = first_and_last_s(elapsed_s)
    first = [turn.samples for turn in result.turns if turn.at_s < first_s]
    last = [turn.samples for turn in result.turns if turn.at_s >= elapsed_s - last_s]
    return SustainRow(
        key,
        buckets=_buckets(result, elapsed_s),
        first=summarize(first) if first else None,
        last=summarize(last) if last else None,
        held_down=held_down(result.conditions),
    )


def _ranking(latencies: Mapping[str, Latency | None]) -> tuple[str, ...]:
    known = {key: latency.p50 for key, latency in latencies.items() if latency is not None}
    return tuple(sorted(known, key=lambda key: known[key]))


def _buckets(result: Sustained, elapsed_s: float) -> tuple[SustainBucket, ...]:
    """At most 60 stretches of equal length; one in which the candidate had no turn is left out."""
    count = max(1, min(MAX_BUCKETS, len(result.turns)))
    width_s = max(elapsed_s, 1e-9) / count
    buckets = []
    for index in range(count):
        here = [position for position, turn in enumerate(result.turns) if min(count - 1, int(turn.at_s / width_s)) == index]
        if here:
            readings = [result.conditions.readings[position] for position in here if position < len(result.conditions.readings)]
            buckets.append(_bucket(index * width_s, [result.turns[position] for position in here], readings))
    return tuple(buckets)


def _bucket(start_s: float, turns: Sequence[Turn], readings: Sequence[Reading]) -> SustainBucket:
    samples = np.concatenate([np.asarray(turn.samples) for turn in turns])
    p50, p90 = (float(value) for value in np.percentile(samples, (50, 90)))
    clocks = lowest_clocks(tuple(readings))
    temperatures = [value for reading in readings for value in reading.temperatures_c if value is not None]
    return SustainBucket(
        start_s=start_s,
        n=sum(turn.n for turn in turns),
        p50=p50,
        p90=p90,
        clock_hz=None if clocks is None else float(np.median(clocks)),
        temperature_c=max(temperatures, default=None),
    )


# ---------------------------------------------------------------- the verdict
def _judge(
    sustained: Mapping[str, Sustained], since_s: float, winner: str | None, floats: Collection[str], faster: float
) -> tuple[bool | None, str]:
    if winner is None:
        return None, "there was no verdict to change"
    if winner not in sustained:
        return True, f"{winner} did not last"
    others = [key for key in sustained if key != winner]
    for key in others:
        ratio = _speedup_since(since_s, sustained[winner], sustained[key])
        if ratio is None:
            return None, f"fewer than {MIN_CYCLES} cycles in the last quarter say nothing of the verdict; let it run longer"
        if ratio.ci95[0] > faster:
            return True, f"in the last quarter {key} is {_text(ratio)} of {winner}"
        if key in floats and winner not in floats:
            gained = _speedup_since(since_s, sustained[key], sustained[winner])
            assert gained is not None  # the same cycles
            if gained.ci95[0] <= faster:
                return True, f"in the last quarter {winner} is {_text(gained)} of {key}, too little to replace it"
    return False, f"{winner} is still the choice in the last quarter" if others else f"nothing else ran that could replace {winner}"


def _speedup_since(since_s: float, slower: Sustained, faster: Sustained) -> Ratio | None:
    """Over the cycles of the last quarter in which both had a turn; None when they are too few."""
    ours, theirs = ({turn.cycle: turn.samples for turn in each.turns if turn.at_s >= since_s} for each in (slower, faster))
    cycles = sorted(ours.keys() & theirs.keys())
    if len(cycles) < MIN_CYCLES:
        return None
    return speedup([ours[cycle] for cycle in cycles], [theirs[cycle] for cycle in cycles])


def _text(ratio: Ratio) -> str:
    return f"{ratio.value:.2f}x the speed (95 % interval {ratio.ci95[0]:.2f} to {ratio.ci95[1]:.2f})"
