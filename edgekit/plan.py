"""What will be tried: every target's candidates, filtered by what was asked for, each with its refusal if it has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .errors import UsageError
from .schemes import NEEDS_CALIBRATION, PRECISIONS, AsIs, Float32, Scalar, scheme_of
from .targets import Settable, Target, reference_target
from .types import Candidate, CandidateReport, Reject, Site

if TYPE_CHECKING:
    from .model import Model


@dataclass(frozen=True)
class Planned:
    """A candidate with the target that would build it, and why it is not tried (None when it is)."""

    target: Target
    site: Site
    candidate: Candidate
    reject: Reject | None = None

    @property
    def id(self) -> str:
        return self.candidate.id

    def refused(self, reason: str) -> CandidateReport:
        """The row of a candidate that never became an artifact."""
        return CandidateReport(
            id=self.id,
            target=self.target.name,
            scheme=self.candidate.scheme.slug,
            stage="rejected",
            accepted=False,
            reason=reason,
            candidate=self.candidate,
            latency_reason="not built",
        )


def plan(
    model: Model,
    sites: Sequence[tuple[Target, Site]],
    *,
    precision: str,
    calibrated: bool,
    build_options: Mapping[str, Scalar] | None = None,
) -> list[Planned]:
    """Everything worth trying on these sites, likeliest first within a target, full precision before all.

    ``build_options``: what the user set for all candidates of the targets that know it.

    Raises:
        UsageError: the precision is not one that edgekit knows; no target knows a build option.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}", hint=f"known: {', '.join(PRECISIONS)}")
    wanted, asked = PRECISIONS[precision], build_options or {}
    _refuse_unknown(asked, [target for target, _ in sites])
    planned = []
    for target, site in sites:
        offered = list(target.candidates(model, site))
        offered.sort(key=lambda c: not isinstance(c.scheme, (Float32, AsIs)))
        if wanted and not any(candidate.scheme.slug in wanted for candidate in offered):
            # Not worth trying, says the target. The user asked for it, so the target says why, or lets it be tried.
            offered += [Candidate(target.name, scheme_of(slug)) for slug in wanted if slug not in ("float32", "as-is")]
        settings = target.settings if isinstance(target, Settable) else ()
        chosen = {name: value for name, value in asked.items() if name in settings}
        for candidate in (replace(one, build_options={**one.build_options, **chosen}) for one in offered):
            if wanted and candidate.scheme.slug not in wanted and not isinstance(candidate.scheme, (Float32, AsIs)):
                continue
            planned.append(Planned(target, site, candidate, _reject(target, model, candidate, site, calibrated=calibrated)))
    return planned


def _refuse_unknown(build_options: Mapping[str, Scalar], targets: Sequence[Target]) -> None:
    known = {name for target in targets if isinstance(target, Settable) for name in target.settings}
    for name in build_options:
        if name not in known:
            raise UsageError(
                f"none of the targets {', '.join(target.name for target in targets)} knows --{name}", hint="leave it out"
            )


def plan_one(like: Planned, model: Model, candidate: Candidate) -> Planned:
    """A variant of a planned candidate, for the same target and site."""
    return Planned(like.target, like.site, candidate, like.target.reject(model, candidate, like.site))


def _reject(target: Target, model: Model, candidate: Candidate, site: Site, *, calibrated: bool) -> Reject | None:
    if isinstance(candidate.scheme, NEEDS_CALIBRATION) and not calibrated:
        return Reject(candidate.scheme.slug, "static quantization needs calibration data", "give a folder of samples with --calib")
    return target.reject(model, candidate, site)


def reference_plan(model: Model, site: Site) -> Planned:
    """The original model in full precision, in ONNX Runtime unless its format is another's: what all others are compared with."""
    target = reference_target(model.format)
    for candidate in target.candidates(model, site):
        if isinstance(candidate.scheme, (Float32, AsIs)):
            return Planned(target, site, candidate)
    raise AssertionError("the reference target offers no full-precision candidate")
