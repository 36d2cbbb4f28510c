"""The report of a run: what was asked, tried and chosen, with the warnings that go with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .building import tool_versions
from .explain import explain
from .types import JSON, BaselineReport, CandidateReport, DeployReport, NodeId, SustainReport, Winner
from .values import to_json
from .verdict import Choice

if TYPE_CHECKING:
    from .model import Model
    from .plan import Planned
    from .preparation import Run


def planned_report(run: Run, started: float) -> DeployReport:
    """What ``--dry-run`` shows: the candidates, and those refused with the reason. Nothing is built."""
    return _unbuilt(run, started, "would be tried", "dry run: nothing was built")


def refused_report(run: Run, started: float) -> DeployReport:
    """What is known where every candidate of the precision that was asked for is refused before anything is built."""
    reason = "nothing was built: all that was asked for is refused"
    return _unbuilt(run, started, "not built, as what was asked for cannot be", reason)


def _unbuilt(run: Run, started: float, of_the_others: str, reason: str) -> DeployReport:
    rows = [item.refused(str(item.reject) if item.reject else of_the_others) for item in run.planned]
    return report_of(run, Choice(tuple(rows), None, reason), started)


def report_of(
    run: Run,
    choice: Choice,
    started: float,
    *,
    baseline: BaselineReport | None = None,
    n_compared: int = 0,
    timed_input: dict[str, JSON] | None = None,
    ranges: Mapping[str, JSON] | None = None,
    trail: tuple[dict[str, JSON], ...] = (),
    sustain: SustainReport | None = None,
    warnings: tuple[str, ...] = (),
) -> DeployReport:
    """The report of ``choice``.

    Args:
        started: when the run began, by ``time.monotonic``.
        ranges: what was found about the calibration data's ranges.
        trail: the steps of the search for operators that stay in float.
    """
    rows = choice.rows
    if run.not_measured:
        rows = tuple(row if row.stage == "rejected" else replace(row, latency_reason=run.not_measured) for row in rows)
    calibration = run.calibration.manifest if run.calibration else None
    return DeployReport(
        model=describe_model(run.model),
        target=",".join(run.request.target),
        profile=run.profile.name,
        device=None if run.not_measured else {"name": run.device.name, "address": run.device.address, **to_json(run.facts)},
        winner=_winner(run, choice),
        reason=choice.reason,
        candidates=rows,
        calibration={**calibration, "ranges": ranges} if calibration and ranges else calibration,
        evaluation=run.evaluation.manifest() if run.evaluation else None,
        baseline=baseline,
        request=to_json(run.request),
        tools=tool_versions(),
        n_compared=n_compared,
        timed_input=timed_input,
        bundle=None,
        wall_s=time.monotonic() - started,
        peak_rss_bytes=peak_rss_bytes(),
        warnings=(*run.warnings, *warnings),
        trail=trail,
        sustain=sustain,
    )


def _winner(run: Run, choice: Choice) -> Winner | None:
    """It is provisional unless it was measured on real hardware, and by a real meter where energy decided."""
    if not choice.winner:
        return None
    measured = any(row.stage == "measured" for row in choice.rows)
    # A stand-in target says of itself that its latencies are evidence of nothing.
    stand_in = any(getattr(item.target, "stand_in", False) for item in run.planned if item.id == choice.winner)
    stand_in = stand_in or (run.request.objective == "energy" and run.meter.is_stand_in)
    return Winner(choice.winner, provisional=not measured or run.facts.kind != "real" or stand_in)


def in_order(planned: Sequence[Planned], rows: Mapping[str, CandidateReport]) -> list[CandidateReport]:
    """The plan's order; what was refined follows the rows of its target. A target that is not installed has one row."""
    targets = list(dict.fromkeys(item.target.name for item in planned))
    of_the_plan = [rows[item.id] for item in planned if item.id in rows]
    refined = [row for key, row in rows.items() if key not in {item.id for item in planned}]
    return sorted([*of_the_plan, *refined], key=lambda row: targets.index(row.target))


def explained(row: CandidateReport, agreement_needed: float, damage: Mapping[NodeId, float]) -> CandidateReport:
    """A candidate that does not hold the gates says what broke and what it would have gained.

    Args:
        damage: how much quantizing each of its operators changes the outputs, where that is known.
    """
    was_judged = row.stage in ("judged", "measured")
    disagrees = row.agreement is not None and row.agreement.value < agreement_needed
    if row.accepted or row.fidelity is None or not (was_judged or disagrees):
        return row
    return replace(row, explanation=explain(row, damage, row.speedup_vs_reference))


def describe_model(model: Model) -> dict[str, JSON]:
    """What a report says of a model: name, fingerprint, tensors; never where it lies."""
    return {
        "name": model.path.name,
        "format": model.format,
        "fingerprint": model.fingerprint,
        "opset": model.opset,
        "size_bytes": model.size_bytes,
        "quantized": model.quantized,
        "inputs": to_json(model.inputs),
        "outputs": to_json(model.outputs),
    }


def choice_warnings(choice: Choice) -> tuple[str, ...]:
    """What is suspicious in the rows of a verdict, and whose latency was not steady."""
    warnings = [f"{row.id}: {row.fidelity.suspicious}" for row in choice.rows if row.fidelity and row.fidelity.suspicious]
    noisy = [row.id for row in choice.rows if row.trust and row.trust != "steady"]
    if noisy:
        warnings.append(f"the latency of {', '.join(noisy)} was not steady; see 'trust' in the JSON")
    return tuple(warnings)


def hot_warnings(sustained: SustainReport | None) -> tuple[str, ...]:
    """That the verdict would be another after minutes of work, if it would."""
    if sustained is None or not sustained.would_change:
        return ()
    return (f"after {sustained.elapsed_s:.0f} s of work the verdict would be another: {sustained.reason}",)


def peak_rss_bytes() -> int:
    """The largest resident set of this process so far; its worker processes report their own."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
