"""The folder that is handed over: artifact, manifest, evidence and an example that runs. See docs/bundle.md.

``edgekit.json`` lists every other file with its hash and size. A bundle holds relative paths only and never the user's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .bundle_output import check_output, replacing
from .bundle_parts import carry, copy_artifact, copy_runner, json_bytes, listing, readme, write_golden, write_part
from .errors import IntegrityError, OutputError
from .integrity import MAX_JSON_BYTES, check_json_weight
from .manifest import (
    MANIFEST,
    MEASUREMENTS,
    MEASUREMENTS_SCHEMA,
    Bundle,
    CheckResult,
    Step,
    check_bundle,
    read_bundle,
    read_measurements,
    self_hash,
)
from .on_device.packing import OnDevice
from .portable import folders_named, portable, without_folders
from .request import DeployRequest
from .types import JSON, Artifact, DeployReport, Measurement, RunFailure, Runner
from .values import canonical, from_json, sha256_json, to_json

if TYPE_CHECKING:
    from .types import Array

__all__ = [
    "MANIFEST", "Bundle", "CheckResult", "Step",
    "check_bundle", "check_calibration", "check_output", "read_bundle", "read_measurements", "write_bundle",
]  # fmt: skip

TRAIL = "evidence/trail.json"  # the steps of the search, in order
TRAIL_SCHEMA = "edgekit.trail/1"
DRAWING = "evidence/trail.svg"
EXAMPLE = Path(__file__).with_name("bundle_example.py")
_RESERVED_BYTES = 4 << 20  # of the manifest, for everything but the hashes of the calibration feeds
_FEED_LISTS = ("fit", "held_out")  # of a calibration manifest: one hash per feed


def write_bundle(
    out: Path,
    *,
    report: DeployReport,
    artifact: Artifact | None,
    artifact_folder: Path | None,
    runner: Runner | None,
    measurements: Mapping[str, Measurement | RunFailure] | None = None,
    golden_inputs: Mapping[str, Array] | None = None,
    golden_outputs: Mapping[str, Array] | None = None,
    drawing: str | None = None,
    on_device: OnDevice | None = None,
    created: datetime | None = None,
    force: bool = False,
) -> Path:
    """Write the bundle ``out``; it appears whole or not at all, and an older bundle there is replaced by rename.

    Args:
        out: the folder to write.
        report: the verdict, with the request in it; kept without the folders of this machine.
        artifact: the winner's files, None when nothing was accepted (the bundle is then evidence only).
        artifact_folder: where the artifact's files lie; their hashes are compared once they are copied.
        runner: the winner's device-side code, copied so that the example needs no edgekit. ``runner.files`` are artifact files.
        measurements: every sample of every measured candidate, by candidate id.
        golden_inputs: one synthetic feed, {name in the original model: array}; never the user's data.
        golden_outputs: what the artifact made of it, under the original names; with both the bundle gets ``run_example.py``.
        drawing: the search as an SVG (see ``edgekit.report.trail``).
        on_device: what may win on a device that was not at hand; the bundle then carries it and ``deploy-on-device.pyz``.
        created: when; now unless said.
        force: replace whatever folder stands at ``out``.

    Returns:
        ``out``, absolute.

    Raises:
        OutputError: ``out`` exists and is not ours to replace, it cannot be written, or the manifest would be too long.
        IntegrityError: a file of the artifact is not what its build recorded.
    """
    out = check_output(out, force=force)
    measurements = measurements or {}
    request = from_json(DeployRequest, report.request, name="the report's request")
    requested = to_json(portable(request, Path.cwd()))
    check_calibration(report.calibration)
    with replacing(out, force=force) as folder:
        runner_files = golden_files = None
        if artifact is not None and artifact_folder is not None:
            copy_artifact(folder / "artifact", artifact, artifact_folder)
            runner_files = copy_runner(folder, runner) if runner is not None else None
            if runner is not None and golden_inputs and golden_outputs:
                golden_files = write_golden(folder, golden_inputs, golden_outputs, runner.tolerance)
                if not artifact.needs_device_build:  # a device build goes through the agent, which the example does without
                    write_part(folder / "run_example.py", EXAMPLE.read_bytes())
        carried = carry(folder, on_device, report, artifact) if on_device is not None else ()
        write_part(folder / MEASUREMENTS, canonical(_measured(measurements)))
        if report.trail:
            steps = {"schema": TRAIL_SCHEMA, "steps": to_json(report.trail)}
            write_part(folder / TRAIL, json_bytes(without_folders(steps, folders_named(request))))
        if drawing is not None:
            write_part(folder / DRAWING, drawing.encode())
        write_part(folder / "README.md", readme(folder, report, runner_files).encode())
        bundle = Bundle(
            edgekit=metadata.version("edgekit-sdk"),
            created_utc=(created or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            files=listing(folder),
            winner=report.winner,
            candidate=report.row(report.winner.id).candidate if report.winner else None,
            artifact=artifact,
            runner=runner_files,
            golden=golden_files,
            provenance=_steps(report, artifact, measurements),
            tools=report.tools,
            requested=requested,
            effective=_effective(report, runner, measurements),
            calibration=report.calibration,
            report=replace(report, request=requested, bundle=".", calibration=_without_feeds(report.calibration)),
            self_sha256="",
            carried=carried,
        )
        document = without_folders(to_json(bundle), folders_named(request))
        text = json_bytes({**document, "self_sha256": self_hash(document)})
        _check_readable(text)
        write_part(folder / MANIFEST, text)
    return out


def _check_readable(text: bytes) -> None:
    """Refuses to write a manifest that :func:`edgekit.manifest.check_bundle` would refuse to read.

    Raises:
        OutputError: too long, or too many values.
    """
    if len(text) > MAX_JSON_BYTES:
        raise OutputError(f"{MANIFEST} would have {len(text)} bytes", why=f"over {MAX_JSON_BYTES} it could not be read back")
    try:
        check_json_weight(text, MANIFEST)
    except IntegrityError as problem:
        raise OutputError(f"{MANIFEST} could not be read back", why=f"{problem.what}: {problem.why}") from problem


def check_calibration(calibration: Mapping[str, JSON] | None) -> None:
    """Refuses a calibration manifest that would make the bundle's too long to be read back; call it before slow work.

    Raises:
        OutputError: it has too many feeds.
    """
    size_bytes = len(json_bytes(calibration))
    if calibration is not None and size_bytes > MAX_JSON_BYTES - _RESERVED_BYTES:
        n_feeds = sum(len(calibration.get(name, ())) for name in _FEED_LISTS)
        raise OutputError(
            f"the hashes of {n_feeds} calibration feeds do not fit into {MANIFEST}",
            why=f"{size_bytes} bytes; over {MAX_JSON_BYTES} it could not be read back",
            hint=f"give less calibration data: {n_feeds * (MAX_JSON_BYTES - _RESERVED_BYTES) // size_bytes} feeds fit",
        )


def _without_feeds(calibration: Mapping[str, JSON] | None) -> dict[str, JSON] | None:
    """The calibration manifest with a count and a digest in the place of each list of hashes: those stand in it once."""
    if calibration is None:
        return None
    short = {name: value for name, value in calibration.items() if name not in _FEED_LISTS}
    for name in _FEED_LISTS:
        if name in calibration:
            short |= {f"n_{name}": len(calibration[name]), f"{name}_sha256": sha256_json(calibration[name])}
    return short


def _measured(measurements: Mapping[str, Measurement | RunFailure]) -> dict[str, JSON]:
    return {
        "schema": MEASUREMENTS_SCHEMA,
        "measurements": {name: to_json(value) for name, value in measurements.items() if isinstance(value, Measurement)},
        "failures": {name: to_json(value) for name, value in measurements.items() if isinstance(value, RunFailure)},
    }


def _steps(
    report: DeployReport, artifact: Artifact | None, measurements: Mapping[str, Measurement | RunFailure]
) -> tuple[Step, ...]:
    """How the artifact came about: read, calibrate, build, judge, measure; only what was done."""
    steps = [Step("read", "edgekit", {"shape": report.request.get("shape")}, report.model)]
    if report.calibration is not None:
        steps.append(
            Step("calibrate", "edgekit", {"samples": report.request.get("samples")}, _without_feeds(report.calibration) or {})
        )
    if report.winner is not None and artifact is not None:
        row = report.row(report.winner.id)
        steps.append(Step("build", row.target, {"candidate": to_json(row.candidate)}, artifact.provenance))
    if report.evaluation is not None:
        steps.append(Step("judge", "edgekit", {"metric": report.request.get("metric")}, report.evaluation))
    measured = _winner_measurement(report, measurements)
    if measured is not None:
        steps.append(Step("measure", measured.loop, measured.requested, measured.effective))
    return tuple(steps)


def _effective(
    report: DeployReport, runner: Runner | None, measurements: Mapping[str, Measurement | RunFailure]
) -> dict[str, JSON]:
    """The run options handed to the runtime, and what the runtime says is in force (None where nothing was measured)."""
    measured = _winner_measurement(report, measurements)
    return {"options": runner.options if runner else None, "runtime": measured.effective if measured else None}


def _winner_measurement(report: DeployReport, measurements: Mapping[str, Measurement | RunFailure]) -> Measurement | None:
    measured = measurements.get(report.winner.id) if report.winner else None
    return measured if isinstance(measured, Measurement) else None
