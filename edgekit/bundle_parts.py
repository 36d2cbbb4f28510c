"""The files of a bundle, each as it is written: artifact, runner, golden pair, what a device may choose from, README."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import IntegrityError
from .integrity import FileEntry, is_safe_path
from .manifest import MANIFEST, MEASUREMENTS, Carried, GoldenFiles, RunnerFiles
from .on_device.packing import GOLDEN_INPUTS, GOLDEN_OUTPUTS, PROGRAM, OnDevice, numbered, program
from .types import Artifact, DeployReport, Runner, sha256_file

if TYPE_CHECKING:
    from .types import Array


def copy_artifact(folder: Path, artifact: Artifact, source: Path) -> None:
    """The artifact's files, compared with the hashes of their build once they are copied.

    Raises:
        IntegrityError: one is missing, unsafely named, or has changed.
    """
    for name, expected in artifact.files.items():
        if not is_safe_path(name) or not (source / name).is_file():
            raise IntegrityError(f"artifact file {name!r} is missing, or its name is not a plain relative path")
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copy)
        actual = sha256_file(copy)
        if actual != expected:
            raise IntegrityError(
                f"artifact file {name!r} changed after its build", why=f"expected sha256 {expected}, found {actual}"
            )


def copy_runner(folder: Path, runner: Runner) -> RunnerFiles:
    """The device-side code, in ``runner/``."""
    for code in runner.code:
        write_part(folder / "runner" / code.name, code.read_bytes())
    return RunnerFiles(
        code=tuple(f"runner/{code.name}" for code in runner.code),
        entry=runner.entry,
        requires=runner.requires,
        files=runner.files,
        options=runner.options,
        tolerance=runner.tolerance,
    )


def write_golden(folder: Path, inputs: Mapping[str, Array], outputs: Mapping[str, Array], tolerance: float) -> GoldenFiles:
    """A synthetic feed and what the artifact makes of it, in ``golden/``."""
    golden = GoldenFiles("golden/inputs.npz", "golden/outputs.npz", tolerance)
    _write_npz(folder / golden.inputs, inputs)
    _write_npz(folder / golden.outputs, outputs)
    return golden


def carry(folder: Path, on_device: OnDevice, report: DeployReport, winner: Artifact | None) -> tuple[Carried, ...]:
    """The candidates that may win on a device, each file once, with the program that tries them there."""
    places = {digest: f"artifact/{name}" for name, digest in winner.files.items()} if winner is not None else {}
    carried = []
    for each in on_device.candidates:
        own = re.sub(r"[^A-Za-z0-9.]+", "-", each.candidate.id)
        files = {name: places.setdefault(digest, f"candidates/{own}/{name}") for name, digest in each.artifact.files.items()}
        fresh = {
            name: digest
            for name, digest in each.artifact.files.items()
            if files[name] == f"candidates/{own}/{name}" and not (folder / files[name]).exists()
        }
        copy_artifact(folder / "candidates" / own, replace(each.artifact, files=fresh), each.folder)
        carried.append(Carried(each.candidate, each.artifact, files))
    _write_npz(folder / GOLDEN_INPUTS, numbered(on_device.inputs))
    _write_npz(folder / GOLDEN_OUTPUTS, numbered(on_device.outputs))
    hashes = {path: digest for digest, path in places.items()}
    hashes |= {path: sha256_file(folder / path) for path in (GOLDEN_INPUTS, GOLDEN_OUTPUTS)}
    placed = {each.candidate.id: each.files for each in carried}
    name = str(report.model.get("name", "model"))
    write_part(folder / PROGRAM, program(on_device, placed, hashes, model=name, profile=report.profile))
    return tuple(carried)


def readme(folder: Path, report: DeployReport, runner: RunnerFiles | None) -> str:
    """A few lines for whoever finds the folder; of what has been written into it so far."""
    winner = report.winner.id if report.winner else "no candidate was accepted"
    is_open = (folder / PROGRAM).exists()
    example = "There is no example to run here."
    if runner is not None and (folder / "run_example.py").exists():
        example = (
            f"`python run_example.py` runs it on its golden input (needs {', '.join(dict.fromkeys(('numpy', *runner.requires)))})."
        )
    there = f"`python3 {PROGRAM}` finds out on the device what is fastest there: copy this whole folder to it." if is_open else ""
    lines = (
        f"# edgekit bundle: {winner}",
        f"For {report.profile}: {report.reason}",
        there,
        f"`artifact/` is what the device loads; `{MANIFEST}` lists every file with its sha256 and says how each was made.",
        example,
        f"`{MEASUREMENTS}` holds every sample; `edgekit check` verifies this folder.",
    )
    return "".join(" ".join(line.split()) + "\n" for line in lines if line)


def listing(folder: Path) -> dict[str, FileEntry]:
    """Every file of ``folder`` by its relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): FileEntry(sha256_file(path), path.stat().st_size) for path in files}


def json_bytes(document: Any) -> bytes:
    """A document as a bundle has all of them: indented, keys sorted."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_part(path: Path, data: bytes) -> None:
    """One file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Like numpy.savez, but the same bytes every time, and any tensor name is allowed (savez takes ``file`` for itself)."""
    import zipfile

    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(arrays[name]), allow_pickle=False)
