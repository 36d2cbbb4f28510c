"""``edgekit-package.json``: what a package says of itself. JSON Schema: ``docs/schemas/edgekit.package-manifest-1.json``.

It is the reduced form of a bundle's manifest: the contract, how the input is made, what was measured, and every file's hash. No
samples, no search, no request, nothing of the machine that made it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import IntegrityError
from ..integrity import FileEntry, check_count, check_tree, read_json_file
from ..manifest import self_hash
from ..paths import kind_of
from ..sshsig import SignatureFacts
from ..types import JSON, TensorMap, TensorSpec, Winner
from ..values import from_json, to_json
from .golden import GOLDEN, GoldenEntry, pack_golden
from .source import PackageSource

PACKAGE_MANIFEST = "edgekit-package.json"
PACKAGE_SCHEMA = "edgekit.package-manifest/1"


@dataclass(frozen=True)
class Origin:
    """The bundle that a package was made of. ``signature``: the one it carried, which packaging did not verify; None without."""

    manifest_sha256: str
    signature: SignatureFacts | None = None


@dataclass(frozen=True)
class PackagedArtifact:
    """The runtime's files as the bundle had them, by path; ``entry`` is the one that is loaded."""

    entry: str
    files: dict[str, FileEntry]


@dataclass(frozen=True)
class PackagedTensor:
    """``shape``: what a caller sees, None where the size is the caller's to choose; ``stored``: as the artifact has it."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    stored: TensorSpec
    permutation: tuple[int, ...] | None
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class PackagedGolden:
    """``file`` holds ``tensors`` (see :mod:`edgekit.packaging.golden`); ``tolerance``: a fraction of the largest magnitude."""

    file: str
    tolerance: float
    tensors: tuple[GoldenEntry, ...]


@dataclass(frozen=True)
class RunOptions:
    """What the winner was measured with."""

    threads: int
    options: dict[str, JSON]


@dataclass(frozen=True)
class PackageManifest:
    """See the module's text. ``preprocess``: schema 1, None where the model takes no pictures; ``labels``: empty when not given."""

    format: str
    name: str
    version: str
    group: str
    edgekit: str
    bundle: Origin
    winner: Winner
    artifact: PackagedArtifact
    inputs: tuple[PackagedTensor, ...]
    outputs: tuple[PackagedTensor, ...]
    preprocess: dict[str, JSON] | None
    labels: tuple[str, ...]
    run: RunOptions
    golden: PackagedGolden
    measured: dict[str, JSON]
    files: dict[str, FileEntry]
    self_sha256: str
    schema: Literal["edgekit.package-manifest/1"] = "edgekit.package-manifest/1"


@dataclass(frozen=True)
class PackageCheck:
    """What was found: every listed file is there and unchanged, and nothing else is."""

    path: Path
    manifest: PackageManifest
    manifest_sha256: str
    n_files: int
    size_bytes: int


def manifest_of(source: PackageSource, format_name: str) -> PackageManifest:
    """The manifest without the list of files, which the writer adds."""
    artifact = source.artifact
    _, golden = pack_golden(source)
    return PackageManifest(
        format=format_name,
        name=source.name,
        version=source.version,
        group=source.group,
        edgekit=source.edgekit,
        bundle=Origin(source.bundle_sha256, source.bundle_signature),
        winner=source.winner,
        artifact=PackagedArtifact(
            artifact.entry, {path: FileEntry(artifact.files[path], source.sizes[path]) for path in artifact.files}
        ),
        inputs=tuple(_tensor(source, tensor) for tensor in source.inputs),
        outputs=tuple(_tensor(source, tensor) for tensor in source.outputs),
        preprocess=source.preprocess.to_json() if source.preprocess else None,
        labels=source.labels,
        run=RunOptions(source.threads, dict(source.options)),
        golden=PackagedGolden(GOLDEN, source.golden.tolerance, golden),
        measured=_measured(source),
        files={},
        self_sha256="",
    )


def describe(source: PackageSource, format_name: str) -> dict[str, JSON]:
    """The manifest as it is stored beside the model in an app: without the list of the package's files."""
    document: dict[str, JSON] = to_json(manifest_of(source, format_name))
    return {key: value for key, value in document.items() if key not in ("files", "self_sha256")}


def _tensor(source: PackageSource, tensor: TensorMap) -> PackagedTensor:
    return PackagedTensor(
        name=tensor.original.name,
        dtype=tensor.original.dtype,
        shape=source.shape(tensor),
        stored=tensor.artifact,
        permutation=tensor.permutation,
        scale=tensor.scale,
        zero_point=tensor.zero_point,
    )


def _measured(source: PackageSource) -> dict[str, JSON]:
    """The winner's numbers, each None where it was not measured."""
    row, report = source.row, source.report
    device = report.device or {}
    has_metric = row.fidelity is not None and row.fidelity.metric is not None
    return {
        "profile": report.profile,
        "device": device.get("board") or device.get("cpu_model"),
        "device_kind": device.get("kind"),
        "latency_s": to_json(row.latency_s),
        "latency_reason": row.latency_reason,
        "speedup_vs_reference": to_json(row.speedup_vs_reference),
        "agreement": to_json(row.agreement),
        "metric": {"name": row.fidelity.metric_name, "value": row.fidelity.metric, "float": row.fidelity.metric_float}
        if row.fidelity is not None and has_metric
        else None,
        "energy_j": row.energy_j,
        "peak_memory_bytes": row.peak_memory_bytes,
        "runtime": dict(source.effective) if source.effective else None,
    }


def manifest_bytes(manifest: PackageManifest, files: Mapping[str, FileEntry]) -> bytes:
    """The manifest as it is written, with the list of every other file of the package and its own hash."""
    document = {**to_json(manifest), "files": to_json(dict(files))}
    return json_bytes({**document, "self_sha256": self_hash(document)})


def json_bytes(document: Any) -> bytes:
    """Keys sorted, so that the same content gives the same bytes."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def check_package(path: str | Path) -> PackageCheck:
    """Verify a package: its manifest is strict JSON of this schema, every listed file has its size and hash, nothing else is there.

    Raises:
        IntegrityError: names the file, with what was expected and found.
    """
    is_folder = kind_of(Path(path), IntegrityError) == "folder"
    folder = Path(path).resolve()
    if not is_folder or not os.path.lexists(folder / PACKAGE_MANIFEST):
        raise IntegrityError(f"{path} is not a package", why=f"it is no folder with a {PACKAGE_MANIFEST}")
    document, data = read_json_file(folder / PACKAGE_MANIFEST)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != PACKAGE_SCHEMA:
        raise IntegrityError(f"{PACKAGE_MANIFEST} has schema {schema!r}"[:200], why=f"this edgekit reads {PACKAGE_SCHEMA!r}")
    check_count(document)
    manifest = from_json(PackageManifest, document, name=PACKAGE_MANIFEST)
    actual = self_hash(document)
    if actual != manifest.self_sha256:
        raise IntegrityError(
            f"{PACKAGE_MANIFEST} is not what was written", why=f"expected sha256 {manifest.self_sha256}, found {actual}"
        )
    check_tree(folder, manifest.files, also=frozenset({PACKAGE_MANIFEST}))
    size = sum(entry.size_bytes for entry in manifest.files.values()) + len(data)
    return PackageCheck(folder, manifest, hashlib.sha256(data).hexdigest(), len(manifest.files) + 1, size)
