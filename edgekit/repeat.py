"""Whether a run that repeats a bundle's really was the same: model, data and tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .manifest import Bundle
    from .types import JSON, DeployReport


def differences(recorded: Bundle, report: DeployReport) -> tuple[str, ...]:
    """One sentence for each thing that is not as it was when ``recorded`` was made; empty when nothing differs."""
    before, pairs = recorded.report, []
    pairs.append(("the model", before.model.get("fingerprint"), report.model.get("fingerprint")))
    pairs.append(("the calibration data", _feeds(recorded.calibration), _feeds(report.calibration)))
    pairs.append(("the evaluation data", _scored(before.evaluation), _scored(report.evaluation)))
    changed = [
        f"--from: {what} {'are' if what.endswith('data') else 'is'} not the bundle's" for what, old, new in pairs if old != new
    ]
    for tool, version in sorted(recorded.tools.items()):
        now = report.tools.get(tool)
        if now != version:
            changed.append(f"--from: {tool} is {now or 'not here'}, the bundle was made with {version}")
    return tuple(changed)


def _feeds(calibration: dict[str, JSON] | None) -> JSON:
    return None if calibration is None else (calibration.get("fit"), calibration.get("held_out"))


def _scored(evaluation: dict[str, JSON] | None) -> JSON:
    return None if evaluation is None else evaluation.get("feeds_sha256")
