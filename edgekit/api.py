"""What edgekit does, as functions: everything the command line does goes through here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BudgetError, DependencyError, UsageError
from .model import model_path
from .progress import Progress, Silent
from .request import DeployRequest
from .request_parsing import parse_request
from .types import DeployReport, Feed

if TYPE_CHECKING:
    from .deployment import Outcome
    from .devices.inventory import Device
    from .devices.plan import Timeouts
    from .fleet import FleetReport
    from .preparation import Run

CalibrationSource = str | Path | Callable[[], Iterable[Feed]] | Iterable[Feed]
EvaluationSource = str | Path | Callable[..., Any]


def deploy(
    model: DeployRequest | str | Path,
    *,
    output: str | Path | None = None,
    force: bool = False,
    install: str | Path | None = None,
    calib: CalibrationSource | None = None,
    eval: EvaluationSource | None = None,  # noqa: A002  # the name of the option on the command line
    allow_code: bool = False,
    trust_model: bool = False,
    dry_run: bool = False,
    measure: bool = True,
    timeouts: Timeouts | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> DeployReport:
    """Finds the fastest artifact that is still right, with the evidence, and writes it as a bundle.

    Args:
        model: the model's file, or a whole request (see :class:`edgekit.request.DeployRequest`). For a PyTorch module give what
            :func:`edgekit.from_torch` returns.
        output: the bundle's folder; nothing is written without one.
        force: replace ``output`` even when it is not a bundle.
        install: put the bundle in a versioned folder under this path, behind a ``current`` link: on the device, if that is another
            machine. Needs ``output``.
        calib: calibration feeds: a path or ``file.py:function`` as on the command line; or a function that yields dicts
            ``{input: array}`` (batch axis included) and is called afresh each pass; or a list of such dicts.
        eval: evaluation: a path or ``file.py:function``, or a function ``evaluate(predict)``.
        allow_code: let ``file.py:function`` references run.
        trust_model: let PyTorch load a ``.pt2`` as code, which runs whatever it holds with the caller's rights.
        dry_run: stop after the plan: which candidates would be tried, and which are refused and why.
        measure: False builds and judges, and measures nothing.
        timeouts: how long to wait for the device; see :class:`edgekit.devices.plan.Timeouts`.
        progress: told what is going on; silent without one.
        options: the options of ``edgekit deploy`` by their names: ``target="onnx"``, ``max_drop="1%"``, ``threads=2`` ...

    Returns:
        The verdict. ``report.winner`` is None only for a dry run.

    Raises:
        UsageError, ModelError, DataError, DependencyError, DeviceUnavailableError, DeviceRunError, OutputError: see
            ``edgekit.errors``.
        BudgetError: nothing met what was asked for; its ``report`` attribute has the evidence.

    Example:
        >>> import edgekit
        >>> from edgekit.demo import demo_models
        >>> kept = demo_models()[1]
        >>> report = edgekit.deploy(kept.model, target="onnx", calib=kept.calibration, dry_run=True)
        >>> report.candidates[0].id
        'onnx/float32'
    """
    from .deployment import execute, worth_trying
    from .devices.plan import Timeouts
    from .preparation import Sources, prepare
    from .run_report import planned_report, refused_report

    started = time.monotonic()
    progress = progress or Silent()
    request, objects = _request(model, calib, eval, options)
    out = Path(output) if output is not None else None
    if install is not None and out is None:
        raise UsageError("there is nothing to install without an output folder", hint="name one with output= (or -o)")
    if out is not None and not dry_run:
        from .bundle_output import check_keeps, check_output

        check_keeps(out, request.paths())
        check_output(out, force=force)
    sources = Sources(*objects, allow_code=allow_code, trust_model=trust_model)
    run = prepare(request, sources, measure=measure, timeouts=timeouts or Timeouts(), progress=progress)
    if install is not None and out is not None:
        _check_install(run, out, install)
    planned = planned_report(run, started)
    if dry_run:
        return planned
    if request.has_chosen_precision and not any(worth_trying(item) for item in run.planned):
        raise _nothing_met(refused_report(run, started), hint="do what the reason says instead, or use --precision auto")
    if out is not None:
        from .bundle import check_calibration

        check_calibration(planned.calibration)
    outcome = execute(run, started, progress)
    if outcome.winner is None:
        raise _nothing_met(outcome.report)
    if out is None:
        return outcome.report
    report = _hand_over(outcome, out, force=force, progress=progress)
    if install is not None:
        _install(run, out, install, timeouts, progress)
    return report


def deploy_fleet(
    model: DeployRequest | str | Path,
    *,
    output: str | Path | None = None,
    calib: CalibrationSource | None = None,
    eval: EvaluationSource | None = None,  # noqa: A002  # as for deploy
    force: bool = False,
    install: str | Path | None = None,
    allow_code: bool = False,
    trust_model: bool = False,
    dry_run: bool = False,
    measure: bool = True,
    timeouts: Timeouts | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> FleetReport[DeployReport]:
    """Deploys to several devices at once: ``device="a,b"`` or ``"label:board=pi5"``. Arguments are those of :func:`deploy`.

    Every device's bundle goes to a folder of its own under ``output``. Functions given as ``calib`` and ``eval`` are called from
    several threads.

    Returns:
        A report or an error for each device; one that fails stops nobody.

    Raises:
        UsageError, UnknownNameError: before anything is done: a device or an option that is not understood.
    """
    from .devices.inventory import open_devices
    from .fleet import folder_names, run_on_all

    request, objects = _request(model, calib, eval, options)
    devices = open_devices(request.device)
    names = folder_names(devices)

    def deploy_to(device: Device, progress: Progress) -> DeployReport:
        return deploy(
            replace(request, device=device.name),
            output=None if output is None else Path(output) / names[device.name],
            force=force,
            install=install,
            calib=objects[0],
            eval=objects[1],
            allow_code=allow_code,
            trust_model=trust_model,
            dry_run=dry_run,
            measure=measure,
            timeouts=timeouts,
            progress=progress,
        )

    return run_on_all(devices, deploy_to, progress or Silent())


def build(model: DeployRequest | str | Path, *, output: str | Path, **options: Any) -> DeployReport:
    """Builds and judges without measuring; the bundle's winner is provisional. Arguments and errors are those of :func:`deploy`."""
    return deploy(model, output=output, measure=False, **options)


def _request(
    model: DeployRequest | str | Path, calib: Any, evaluation: Any, options: dict[str, Any]
) -> tuple[DeployRequest, tuple[Any, Any]]:
    """The request, and the data that came as Python objects instead of text."""
    texts = {name: str(value) for name, value in (("calib", calib), ("eval", evaluation)) if isinstance(value, (str, Path))}
    objects = tuple(None if isinstance(value, (str, Path)) else value for value in (calib, evaluation))
    if isinstance(model, DeployRequest):
        if options:
            raise UsageError(f"options {', '.join(options)} come with a whole request", hint="put them in the request")
        request = replace(model, **texts)  # type: ignore[arg-type]  # calib and eval are text fields
    else:
        written = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
        request = parse_request({"model": model_path(model), **texts, **written})
    return request, (objects[0], objects[1])


def _check_install(run: Run, output: Path, path: str | Path) -> None:
    """Refuses, before anything slow, what can be no place to install to."""
    from .devices.install import check_path
    from .installation import check_apart

    if run.device.transport.shares_files:
        check_apart(output, path)
    else:
        check_path(str(path))


def _install(run: Run, output: Path, path: str | Path, timeouts: Timeouts | None, progress: Progress) -> None:
    """On the device, if that is another machine; otherwise here."""
    from .installation import install as install_here
    from .installation import install_on_device

    if run.device.transport.shares_files:
        install_here(output, Path(path))
        return
    there = install_on_device(output, run.device, str(path), timeouts=timeouts, progress=progress)
    progress.note(f"installed on {run.device.name}: {there.current}" + ("" if there.changed else ", as it was already"))


def _hand_over(outcome: Outcome, output: Path, *, force: bool, progress: Progress) -> DeployReport:
    from .bundle import write_bundle

    assert outcome.winner is not None
    progress.stage("writing the bundle")
    drawing, not_drawn = _drawn(outcome.report)
    report = replace(outcome.report, bundle=str(output), warnings=(*outcome.report.warnings, *not_drawn))
    write_bundle(
        output,
        report=report,
        artifact=outcome.winner.artifact,
        artifact_folder=outcome.winner.folder,
        runner=outcome.winner.runner,
        measurements=outcome.measurements,
        golden_inputs=outcome.golden.inputs,
        golden_outputs=outcome.golden.outputs,
        drawing=drawing,
        on_device=outcome.on_device,
        force=force,
    )
    return report


def _drawn(report: DeployReport) -> tuple[str | None, tuple[str, ...]]:
    """The search as an SVG; or none, and the note that says why. Without a measurement there is nothing to draw."""
    from .report.trail import draw_trail, has_trail

    if not has_trail(report):
        return None, ()
    try:
        return draw_trail(report), ()
    except DependencyError as problem:  # the finished run is worth more than its drawing
        return None, (f"the bundle has no drawing of the search: {problem.what} ({problem.hint or problem.why})",)


_LOOSEN = "loosen --max-drop, --min-agreement or --max-latency, give more calibration data, or use --precision auto"


def _nothing_met(report: DeployReport, *, hint: str = _LOOSEN) -> BudgetError:
    from .verdict import is_full_precision

    wanted = [row for row in report.candidates if not is_full_precision(row.candidate)] or list(report.candidates)
    refused = [row for row in wanted if not row.accepted]
    ids: dict[str, list[str]] = {}
    for row in refused[:4]:
        ids.setdefault(row.reason, []).append(row.id)
    why = "; ".join(f"{', '.join(named)}: {reason}" for reason, named in ids.items()) or report.reason
    problem = BudgetError("no candidate met what was asked for", why=why, hint=hint)
    problem.report = report
    return problem
