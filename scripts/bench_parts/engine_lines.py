"""What is promised of the engine, held against what was measured: met, missed or skipped, always with the numbers."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .contestants import REFERENCE
from .engine_records import (
    MINMAX,
    OURS,
    PERCENTILE,
    Against,
    CalibrationResult,
    CalibrationRun,
    EngineDocument,
    LargeResult,
    QualityResult,
    VerdictResult,
)
from .lines import MET, MISSED, SKIPPED, Line, ratio_text
from .records import Row
from .tables import geometric_mean

FEW, MANY = 100, 1000  # samples
GROWTH, MOST_BYTES = 1.10, 450e6
AGAINST_PERCENTILE, AGAINST_MINMAX = 2.0, 1.5
TIE_DB = 0.05  # a smaller difference is one of rounding
OF_THE_HAND_SEARCH = 0.93
MEAN_LATENCY = 0.95
LARGE_BYTES, LARGE_S = 8e9, 1800.0
NOT_RUN = "this part was not run yet"
SINGLE_TARGETS = ("onnx", "openvino")


@dataclass(frozen=True)
class Hand:
    """What a search by hand reached: the artifact ``name``, made by hand_recipes; ``then``: its speed on another processor.

    ``agreement``: what the winner's must be on the evaluation data; None where the gates alone decide.
    """

    task: str
    target: str
    name: str
    then: float
    agreement: float | None = None


HAND = (
    Hand("recogniser", "onnx", "by hand: onnxruntime MSE", 1.47),
    Hand("recogniser", "openvino", "by hand: NNCF mixed", 3.55),
    Hand("detector", "onnx", "by hand: onnxruntime MSE", 1.33, agreement=0.965),
    Hand("detector", "openvino", "by hand: NNCF mixed, no outliers, 4 convolutions float", 3.05, agreement=0.975),
    Hand("minilm", "onnx", "by hand: onnxruntime dynamic int8 per channel", 2.15),
    Hand("minilm", "openvino", "by hand: NNCF transformer", 2.77),
)


def of_document(document: EngineDocument) -> list[Line]:
    return [
        *_memory(document.memory),
        *_time(document.time),
        *_quality(document.quality),
        *_verdicts(document.verdicts),
        *_large(document.large),
    ]


# ---------------------------------------------------------------- memory and time
def _memory(found: CalibrationResult | None) -> Iterator[Line]:
    growth = f"peak memory at {MANY} samples is at most {GROWTH:.2f}x that at {FEW}"
    most = f"peak memory at {MANY} samples is at most {MOST_BYTES / 1e6:.0f} MB"
    few, many = (_peak(found, OURS, n) for n in (FEW, MANY))
    if found is None or few is None or many is None:
        reason = NOT_RUN if found is None else _why_not(found, OURS)
        yield Line("memory", growth, SKIPPED if found is None else MISSED, reason)
        yield Line("memory", most, SKIPPED if found is None else MISSED, reason)
        return
    peer = _peak(found, PERCENTILE, FEW)
    beside = f"; onnxruntime's Percentile at {FEW}: {peer / 1e6:.0f} MB" if peer else f"; Percentile: {_why_not(found, PERCENTILE)}"
    yield Line(
        "memory", growth, _verdict(many <= GROWTH * few), f"{many / 1e6:.0f} MB against {few / 1e6:.0f} MB: {many / few:.2f}x"
    )
    yield Line("memory", most, _verdict(many <= MOST_BYTES), f"{many / 1e6:.0f} MB{beside}")


def _time(found: CalibrationResult | None) -> Iterator[Line]:
    for peer, name, promise, limit in (
        (PERCENTILE, "Percentile", f"at {FEW} samples at least {AGAINST_PERCENTILE:g}x as fast as", 1 / AGAINST_PERCENTILE),
        (MINMAX, "MinMax", f"at {FEW} samples at most {AGAINST_MINMAX:g}x the time of", AGAINST_MINMAX),
    ):
        text = f"{promise} onnxruntime's {name}"
        ours, theirs = _wall(found, OURS), _wall(found, peer)
        if found is None or ours is None or theirs is None:
            reason = NOT_RUN if found is None else _why_not(found, OURS if ours is None else peer)
            yield Line("time", text, SKIPPED if found is None or ours is not None else MISSED, reason)
            continue
        numbers = f"{ours:.1f} s against {theirs:.1f} s (medians): {ours / theirs:.2f}x the time"
        yield Line("time", text, _verdict(ours <= limit * theirs), numbers)


def _peak(found: CalibrationResult | None, who: str, samples: int) -> float | None:
    peaks = [run.peak_bytes for run in (found.of(who, samples) if found else ()) if run.peak_bytes is not None and not run.fails]
    return statistics.median(peaks) if peaks else None


def _wall(found: CalibrationResult | None, who: str) -> float | None:
    walls = [run.wall_s for run in (found.of(who, FEW) if found else ()) if run.wall_s is not None]
    return statistics.median(walls) if walls else None


def _why_not(found: CalibrationResult, who: str) -> str:
    failed: list[CalibrationRun] = [run for run in found.runs if run.who == who and run.fails]
    return f"{failed[0].fails} ({failed[0].samples} samples)" if failed else "it was not measured at both sizes"


# ---------------------------------------------------------------- quality
def _quality(found: Sequence[QualityResult]) -> Iterator[Line]:
    least, most = "held-out SQNR at least the best of onnxruntime's range methods", "strictly better on most tasks"
    if not found:
        yield Line("quality", least, SKIPPED, NOT_RUN)
        yield Line("quality", most, SKIPPED, NOT_RUN)
        return
    margins = {}
    for result in found:
        if result.fails:
            yield Line(result.task, least, SKIPPED, result.fails)
            continue
        best = max((row for row in result.peers if row.sqnr_db is not None), key=lambda row: row.sqnr_db or 0.0, default=None)
        if result.ours is None or result.ours.sqnr_db is None:
            yield Line(result.task, least, MISSED, result.ours.fails if result.ours else "it was not measured")
            continue
        if best is None or best.sqnr_db is None:
            yield Line(result.task, least, SKIPPED, f"no peer made an artifact: {result.peers[0].fails if result.peers else ''}")
            continue
        margin = margins[result.task] = result.ours.sqnr_db - best.sqnr_db
        numbers = f"{result.ours.sqnr_db:.2f} dB ({result.ours.detail}) against {best.sqnr_db:.2f} dB ({best.name})"
        yield Line(result.task, least, _verdict(margin >= -TIE_DB), numbers)
    better = [task for task, margin in margins.items() if margin > TIE_DB]
    verdict = _verdict(2 * len(better) > len(margins)) if margins else SKIPPED
    yield Line("quality", most, verdict, f"{len(better)} of {len(margins)}: {', '.join(better) or 'none'}")


# ---------------------------------------------------------------- verdicts
def _verdicts(found: Sequence[VerdictResult]) -> Iterator[Line]:
    by_task = {result.task: result for result in found}
    for hand in HAND:
        yield _against_hand(hand, by_task.get(hand.task))
    ratios: dict[str, float] = {}
    for result in found:
        for target in SINGLE_TARGETS:
            line, latency = _against_peers(result, target)
            if line is not None:
                yield line
            if latency is not None:
                ratios[f"{result.task} on {target}"] = latency
    promise = f"mean latency against the fastest peer's that holds, where any int8 holds: at most {MEAN_LATENCY:g}"
    if not ratios:
        yield Line("all tasks", promise, SKIPPED, NOT_RUN if not found else "no int8 artifact holds the gates")
        return
    mean = geometric_mean(list(ratios.values()))
    numbers = f"{mean:.3f}: " + ", ".join(f"{name} {value:.2f}" for name, value in ratios.items())
    yield Line("all tasks", promise, _verdict(mean <= MEAN_LATENCY), numbers)


def _against_hand(hand: Hand, found: VerdictResult | None) -> Line:
    at = f", agreement at least {hand.agreement:g}" if hand.agreement is not None else ""
    promise = f"on {hand.target} at least {OF_THE_HAND_SEARCH:g}x of what the hand search reached{at}"
    if found is None:
        return Line(hand.task, promise, SKIPPED, NOT_RUN)
    row = _winner(found, hand.target)
    if row is None:
        return Line(hand.task, promise, MISSED, _no_winner(found, hand.target))
    other = _named(found, hand.name)
    ratio = _ratio(found, hand.target, hand.name)
    if other is None or ratio is None:
        return Line(
            hand.task, promise, SKIPPED, f"the hand search's artifact was not measured: {other.fails if other else 'not made'}"
        )
    speeds = f"{_speed(row)} against {_speed(other)} by hand (then {hand.then:g}x on another processor): {ratio_text(ratio.ratio)}"
    agreement = row.evaluation.agreement if row.evaluation else 0.0
    held = "" if other.evaluation is not None and other.evaluation.holds else "; by hand it does not hold the gates here"
    agrees = hand.agreement is None or agreement >= hand.agreement
    numbers = f"{speeds}, agreement {agreement:.3f}{held}"
    return Line(hand.task, promise, _verdict(ratio.ratio.value >= OF_THE_HAND_SEARCH and agrees), numbers)


def _against_peers(found: VerdictResult, target: str) -> tuple[Line | None, float | None]:
    """The line, and the winner's latency against the fastest peer's where any int8 holds."""
    promise = f"the winner on {target} is not slower than the fastest peer that holds the gates"
    deployed = next((each for each in found.result.deploys if each.target == target), None)
    if deployed is None:
        return None, None
    row = _winner(found, target)
    if row is None:
        return Line(found.task, promise, MISSED, _no_winner(found, target)), None
    holding = [peer for peer in found.result.rows if _is_peer_on(peer, found, target) and _holds(peer)]
    fastest = max(holding, key=lambda peer: peer.speedup.value if peer.speedup else 0.0, default=None)
    int8 = "int8" in deployed.scheme or any("int8" in peer.name or "QDQ" in peer.name for peer in holding)
    if fastest is None:
        return _against_unscored(found, target, row, promise), None
    if fastest.name == row.name:
        return Line(found.task, promise, MET, f"both are {row.name}"), 1.0 if int8 else None
    ratio = _ratio(found, target, fastest.name)
    if ratio is None:
        return Line(found.task, promise, MISSED, f"{row.name} was not measured beside {fastest.name}"), None
    numbers = f"{row.name} runs at {ratio_text(ratio.ratio)} of {fastest.name}"
    return Line(found.task, promise, _verdict(ratio.ratio.ci95[1] >= 1.0), numbers), 1 / ratio.ratio.value if int8 else None


def _against_unscored(found: VerdictResult, target: str, row: Row, promise: str) -> Line:
    """Where no peer is known to hold the gates: some may be too slow to have been scored, and then their speed has to do."""
    unscored = [peer for peer in found.result.rows if peer.maker == "peer" and peer.evaluation is None]
    ratios = [ratio for peer in unscored if (ratio := _ratio(found, target, peer.name)) is not None]
    if not ratios:
        return Line(found.task, promise, MET, "no peer's artifact holds the gates")
    least = min(ratios, key=lambda each: each.ratio.value)
    speed = f"{row.name} runs at {ratio_text(least.ratio)} of {least.other}, the fastest that was too slow to be scored"
    is_met = least.ratio.ci95[1] >= 1.0
    return Line(found.task, promise, MET if is_met else SKIPPED, f"no peer's artifact that was scored holds the gates; {speed}")


def _is_peer_on(row: Row, found: VerdictResult, target: str) -> bool:
    """Float in ONNX Runtime is what a peer ships on ``onnx`` where its int8 is wrong."""
    if row.name == REFERENCE:
        return target == "onnx"
    return row.maker == "peer" and _ratio(found, target, row.name) is not None


def _holds(row: Row) -> bool:
    return row.evaluation is not None and row.evaluation.holds and row.speedup is not None


def _winner(found: VerdictResult, target: str) -> Row | None:
    row = found.result.row_of(target)
    return row if row is not None and row.speedup is not None else None


def _no_winner(found: VerdictResult, target: str) -> str:
    deployed = next((each for each in found.result.deploys if each.target == target), None)
    row = found.result.row_of(target)
    return (row.fails if row else "") or (deployed.fails if deployed else "") or f"there is no winner on {target}"


def _named(found: VerdictResult, name: str) -> Row | None:
    return next((row for row in found.result.rows if row.name == name), None)


def _ratio(found: VerdictResult, target: str, other: str) -> Against | None:
    return next((each for each in found.against if (each.target, each.other) == (target, other)), None)


def _speed(row: Row) -> str:
    return ratio_text(row.speedup) if row.speedup else "not measured"


# ---------------------------------------------------------------- large models
def _large(found: Sequence[LargeResult]) -> Iterator[Line]:
    promise = f"calibrated, searched and written within {LARGE_BYTES / 1e9:.0f} GB and {LARGE_S / 60:.0f} minutes"
    if not found:
        yield Line("large", promise, SKIPPED, NOT_RUN)
    for result in found:
        if result.fails or result.wall_s is None:
            yield Line(result.name, promise, MISSED, result.fails or "it was not measured")
            continue
        memory = "memory was not measured" if result.peak_bytes is None else f"{result.peak_bytes / 1e9:.2f} GB"
        within = result.wall_s <= LARGE_S and result.peak_bytes is not None and result.peak_bytes <= LARGE_BYTES
        yield Line(result.name, promise, _verdict(within), f"{result.wall_s:.0f} s, {memory}, {result.winner}")


def _verdict(holds: bool) -> str:
    return MET if holds else MISSED
