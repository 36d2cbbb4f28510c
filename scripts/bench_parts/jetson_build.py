"""One model for a Jetson that is not at hand: its bundle, and what is known of each precision in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from edgekit_tensorrt import parser_evidence
from edgekit_tensorrt.refusals import MIXED

from edgekit import build
from edgekit.building import Built
from edgekit.building import build as build_one
from edgekit.devices.plan import Timeouts
from edgekit.manifest import Bundle, check_bundle
from edgekit.on_device.packing import PROGRAM
from edgekit.plan import Planned
from edgekit.preparation import Run, Sources, prepare
from edgekit.progress import Progress
from edgekit.request_parsing import parse_request
from edgekit.targets import Checking
from edgekit.types import Candidate, CandidateReport, DeployReport, Feed

from .jetson_peer import beside
from .jetson_records import Beside, ModelResult, Precision
from .records import Taken
from .task_list import Task

TARGET = "jetson"
SCHEMES = ("int8", "float16", MIXED)
UNSEEN = 24
_STAGES = ("rejected", "built", "judged", "measured")


@dataclass(frozen=True)
class Job:
    """``samples``: feeds that edgekit gets (it holds a fifth of them out) and modelopt may calibrate with."""

    task: Task
    samples: int
    budget_s: float
    peer: bool


def run_job(job: Job, taken: Taken, scratch: Path, progress: Progress) -> ModelResult:
    """Builds the bundle as a user does, looks at what is in it, and puts modelopt's int8 beside edgekit's.

    Raises:
        EdgekitError: the model itself cannot be read, run or scored.
    """
    began = time.monotonic()
    task, feeds = job.task, list(job.task.calibration())
    given, unseen = feeds[: job.samples], feeds[job.samples :][:UNSEEN]
    out = scratch / "bundle"
    options = {"target": TARGET, "budget": job.budget_s, "shape": _shape(task)}
    report = build(task.model, output=out, calib=given, eval=task.evaluate, progress=progress, **options)
    bundle = check_bundle(out).bundle
    request = parse_request({"model": str(task.model), **options})
    run = prepare(request, Sources(given, task.evaluate), measure=False, timeouts=Timeouts(), progress=progress)
    precisions = tuple(_precision(scheme, run, report, bundle, out) for scheme in SCHEMES)
    compared, reason = None, "left out"
    if job.peer:
        compared, reason = _beside(run, report, given, unseen, scratch, progress)
    first = next((row.fidelity for row in report.candidates if row.fidelity and row.fidelity.metric_name), None)
    return ModelResult(
        name=task.name,
        taken=taken,
        profile=report.profile,
        wall_s=time.monotonic() - began,
        metric=first.metric_name or "" if first else "",
        metric_float=first.metric_float if first else None,
        carried=tuple(each.candidate.id for each in bundle.carried),
        has_program=PROGRAM in bundle.files,
        precisions=precisions,
        beside=compared,
        beside_reason=reason,
    )


def _shape(task: Task) -> list[str] | None:
    return [f"{name}={'x'.join(map(str, sizes))}" for name, sizes in task.shape.items() if sizes] or None


def _precision(scheme: str, run: Run, report: DeployReport, bundle: Bundle, folder: Path) -> Precision:
    """The closest of a precision in the bundle; where none holds the gates, the closest that was evaluated, or at least built."""
    rows = [row for row in report.candidates if row.scheme == scheme]
    if not rows:
        return Precision(scheme, "", False, "it was not offered")
    right = [row for row in rows if row.accepted]
    row = max(right, key=_closeness) if right else max(rows, key=lambda row: (_STAGES.index(row.stage), _closeness(row)))
    placed = {each.candidate.id: folder / each.files[each.artifact.entry] for each in bundle.carried}
    known = {
        "sqnr_db": row.fidelity.sqnr_db if row.fidelity else None,
        "agreement": row.agreement.value if row.agreement else None,
        "metric": row.fidelity.metric if row.fidelity else None,
    }
    path, shapes = placed.get(row.id), None
    if path is not None:
        shapes = next(each.artifact.provenance["shapes"] for each in bundle.carried if each.candidate.id == row.id)
    elif row.stage != "rejected":
        built = _built(run, row.candidate)
        path, shapes = built.folder / built.artifact.entry, built.artifact.provenance["shapes"]
    if path is None:
        return Precision(scheme, row.id, False, row.reason, **known)
    target, site = run.sites[0]
    assert isinstance(target, Checking)
    findings = target.check(path, site)
    parser, said = None, "tensorrt-rtx is not installed"
    if parser_evidence.version() is not None:
        (answer,) = parser_evidence.ask([parser_evidence.Question(path, (8, 6), shapes)])
        parser, said = answer.accepted, "; ".join(answer.errors)[:300]
    return Precision(
        scheme,
        row.id,
        row.accepted,
        row.reason,
        **known,
        rules=tuple(str(each) for each in findings if each.severity == "error"),
        warnings=sum(each.severity != "error" for each in findings),
        parser=parser,
        parser_said=said,
        kept_float=len(row.candidate.keep_float),
    )


def _closeness(row: CandidateReport) -> float:
    return (row.fidelity.sqnr_db if row.fidelity else None) or float("-inf")


def _built(run: Run, candidate: Candidate) -> Built:
    """The candidate's artifact, from the cache of this run."""
    target, site = run.sites[0]
    return build_one(run.model, Planned(target, site, candidate), run.data, threads=1)


def _beside(
    run: Run, report: DeployReport, given: list[Feed], unseen: list[Feed], scratch: Path, progress: Progress
) -> tuple[Beside | None, str]:
    """On edgekit's int8 without a spared operator, so that both quantize all that they would."""
    rows = [row for row in report.candidates if row.scheme == "int8" and not row.candidate.keep_float and row.stage != "rejected"]
    plain = next((row for row in rows if not row.candidate.build_options), None)
    if plain is None:
        return None, "edgekit has no int8 of it: " + "; ".join(row.reason for row in report.candidates if row.scheme == "int8")
    chosen = max([row for row in rows if row.accepted] or rows, key=_closeness)
    reference = next(row for row in report.candidates if row.scheme == "float32")
    built = [_built(run, row.candidate) for row in (reference, chosen, plain)]
    names = {tensor.original.name: tensor.artifact.name for tensor in built[1].artifact.io if tensor.role == "input"}
    calibration, test = ([{names[name]: array for name, array in feed.items()} for feed in feeds] for feeds in (given, unseen))
    place = scratch / "peer"
    place.mkdir()
    float32, ours, unrefined = (each.folder / each.artifact.entry for each in built)
    return beside(float32, ours, unrefined, calibration, test, place, progress), ""
