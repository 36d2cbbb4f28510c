"""``edgekit.json``: what a bundle says of itself, and how that is verified before any of it is used.

The JSON Schema is ``docs/schemas/edgekit.bundle-1.json``. Nothing here writes.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .errors import IntegrityError
from .integrity import FileEntry, check_count, check_tree, read_json_file, read_small
from .paths import kind_of
from .request import DeployRequest
from .types import JSON, Artifact, Candidate, DeployReport, Measurement, Winner
from .values import from_json, sha256_json

MANIFEST = "edgekit.json"
SCHEMA = "edgekit.bundle/1"
SIGNATURE = f"{MANIFEST}.sig"  # over the bytes of the manifest, so the manifest cannot list it: the one file that stands outside
MAX_SIGNATURE_BYTES = 64 * 1024
MEASUREMENTS = "evidence/measurements.json"
MEASUREMENTS_SCHEMA = "edgekit.measurements/1"
MAX_MEASUREMENTS_BYTES = 1 << 30  # fast models give a million samples in a run


@dataclass(frozen=True)
class GoldenFiles:
    """A synthetic input and what the artifact made of it on the host.

    ``tolerance``: how far an output may lie from the golden one, as a fraction of its largest magnitude.
    """

    inputs: str
    outputs: str
    tolerance: float


@dataclass(frozen=True)
class RunnerFiles:
    """The device-side code in the bundle: modules under ``runner/``, started by importing ``entry``."""

    code: tuple[str, ...]
    entry: str
    requires: tuple[str, ...]
    files: tuple[str, ...]
    options: dict[str, JSON]
    tolerance: float


@dataclass(frozen=True)
class Carried:
    """A candidate that may win on a device, in a bundle that was made without one. ``files``: {file of its artifact: path here}."""

    candidate: Candidate
    artifact: Artifact
    files: dict[str, str]


@dataclass(frozen=True)
class Step:
    """One step on the way from the model to the verdict: by what, what was asked and what took effect.

    ``tool``: edgekit, a target's name, or the measuring loop; their versions are in ``Bundle.tools`` and in the build's own record.
    """

    step: Literal["read", "calibrate", "build", "judge", "measure"]
    tool: str
    requested: dict[str, JSON] = field(default_factory=dict)
    effective: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """The manifest. ``report`` is the whole verdict; the samples behind it are in ``evidence/measurements.json``.

    ``carried``: what ``deploy-on-device.pyz`` tries on a device; empty where the verdict was given on one.
    ``self_sha256``: of the manifest's own canonical JSON without this field, so that damage to it is noticed too; no signature.
    """

    edgekit: str
    created_utc: str
    files: dict[str, FileEntry]
    winner: Winner | None
    candidate: Candidate | None
    artifact: Artifact | None
    runner: RunnerFiles | None
    golden: GoldenFiles | None
    provenance: tuple[Step, ...]
    tools: dict[str, str]
    requested: dict[str, JSON]
    effective: dict[str, JSON]
    calibration: dict[str, JSON] | None
    report: DeployReport
    self_sha256: str
    carried: tuple[Carried, ...] = ()
    schema: Literal["edgekit.bundle/1"] = "edgekit.bundle/1"

    def request(self) -> DeployRequest:
        """The request that made this bundle, for ``--from``.

        Raises:
            IntegrityError: it is not one that this edgekit understands.
        """
        return from_json(DeployRequest, self.requested, name=f"{MANIFEST}: requested")


@dataclass(frozen=True)
class CheckResult:
    """What ``edgekit check`` found: every listed file is there and unchanged, and nothing else is but a signature.

    Who wrote it stays open: ``signature_sha256`` (None without one) only says that a signature lies there;
    :func:`edgekit.signing.verify_bundle` says whose it is. ``n_files`` and ``size_bytes`` count it.
    """

    path: Path
    bundle: Bundle
    manifest_sha256: str
    n_files: int
    size_bytes: int
    signature_sha256: str | None = None
    origin: Literal["unknown"] = "unknown"

    @property
    def message(self) -> str:
        return f"integrity ok, origin {self.origin}" + (
            "" if self.signature_sha256 is None else " (its signature was not verified)"
        )


def self_hash(document: dict[str, JSON]) -> str:
    """The hash that a manifest carries of itself.

    Raises:
        IntegrityError: a number that JSON cannot hold.
    """
    try:
        return sha256_json({key: value for key, value in document.items() if key != "self_sha256"})
    except ValueError as problem:
        raise IntegrityError(f"{MANIFEST} is not valid JSON", why=str(problem)) from problem


def check_bundle(path: str | Path) -> CheckResult:
    """Verify a bundle: the manifest is strict JSON of this schema, every listed file has its size and hash, nothing else is there
    but perhaps a signature, which is not looked into.

    Nothing outside ``path`` is read or written. ``path`` itself may be a link (``current`` of an install).

    Raises:
        IntegrityError: names the file, with what was expected and found.
    """
    folder, kind = Path(path), kind_of(Path(path), IntegrityError)
    if kind != "folder":
        why = "it does not exist" if kind == "missing" else "it is not a folder"
        raise IntegrityError(f"{path} is not a bundle", why=why, hint="edgekit deploy writes one with -o")
    folder = folder.resolve()
    if kind_of(folder / MANIFEST, IntegrityError) == "missing":
        raise IntegrityError(f"{path} is not a bundle", why=f"it holds no {MANIFEST}")
    document, data = read_json_file(folder / MANIFEST)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise IntegrityError(f"{MANIFEST} has schema {schema!r}"[:200], why=f"this edgekit reads {SCHEMA!r}")
    check_count(document)
    bundle = from_json(Bundle, document, name=MANIFEST)
    actual = self_hash(document)
    if actual != bundle.self_sha256:
        raise IntegrityError(f"{MANIFEST} is not what was written", why=f"expected sha256 {bundle.self_sha256}, found {actual}")
    check_tree(folder, bundle.files, also=frozenset({MANIFEST, SIGNATURE}))
    _check_references(bundle)
    signature = read_signature(folder)
    size = sum(entry.size_bytes for entry in bundle.files.values()) + len(data) + len(signature or b"")
    return CheckResult(
        folder,
        bundle,
        manifest_sha256=hashlib.sha256(data).hexdigest(),
        n_files=len(bundle.files) + (1 if signature is None else 2),
        size_bytes=size,
        signature_sha256=None if signature is None else hashlib.sha256(signature).hexdigest(),
    )


def read_signature(folder: Path) -> bytes | None:
    """The bytes of a bundle's signature file, None where there is none.

    Raises:
        IntegrityError: it is a link or no regular file, or too long to be a signature.
    """
    path = folder / SIGNATURE
    if not os.path.lexists(path):
        return None
    return read_small(path, max_bytes=MAX_SIGNATURE_BYTES)


def read_bundle(path: str | Path) -> Bundle:
    """The manifest of a bundle that has just been verified (see :func:`check_bundle`)."""
    return check_bundle(path).bundle


def read_measurements(path: str | Path) -> dict[str, Measurement]:
    """Every sample of every measured candidate, by candidate id, from a bundle that has just been verified.

    Raises:
        IntegrityError: the bundle or its evidence is not intact.
    """
    folder = check_bundle(path).path
    document, _ = read_json_file(folder / MEASUREMENTS, max_bytes=MAX_MEASUREMENTS_BYTES, max_weight=None)
    if not isinstance(document, dict) or document.get("schema") != MEASUREMENTS_SCHEMA:
        raise IntegrityError(f"{MEASUREMENTS} has an unknown schema", why=f"this edgekit reads {MEASUREMENTS_SCHEMA!r}")
    return from_json(dict[str, Measurement], document.get("measurements"), name=MEASUREMENTS)


def _check_references(bundle: Bundle) -> None:
    """What the manifest says elsewhere agrees with its list of files."""
    artifact_files = bundle.artifact.files if bundle.artifact is not None else {}
    if bundle.artifact is not None and bundle.artifact.entry not in artifact_files:
        raise IntegrityError(f"the artifact's entry {bundle.artifact.entry!r} is not one of its files")
    named = [MEASUREMENTS, *(f"artifact/{name}" for name in artifact_files)]
    if bundle.runner is not None:
        named += [*bundle.runner.code, *(f"artifact/{name}" for name in bundle.runner.files)]
    if bundle.golden is not None:
        named += [bundle.golden.inputs, bundle.golden.outputs]
    for name in named:
        if name not in bundle.files:
            raise IntegrityError(f"{name!r} is named in {MANIFEST} but is not in its list of files")
    digests = [(f"artifact/{name}", digest) for name, digest in artifact_files.items()]
    for carried in bundle.carried:
        if carried.files.keys() != carried.artifact.files.keys() or carried.artifact.entry not in carried.files:
            raise IntegrityError(f"the files of {carried.candidate.id} are not those of its artifact in {MANIFEST}")
        digests += [(path, carried.artifact.files[name]) for name, path in carried.files.items()]
    for name, digest in digests:
        if name not in bundle.files:
            raise IntegrityError(f"{name!r} is named in {MANIFEST} but is not in its list of files")
        listed = bundle.files[name].sha256
        if digest != listed:
            raise IntegrityError(f"{name!r} has two different sha256 in {MANIFEST}", why=f"{digest} and {listed}")
