"""``edgekit-package.json``: what a package says of itself. JSON Schema: ``docs/schemas/edgekit.package-manifest-1.json``.

It is the reduced form of a bundle's manifest: the contract, how the input is made, what was measured, and every file's hash. No
samples, no search, no request, nothing of the machine that made it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..integrity import FileEntry
from ..types import JSON, TensorMap
from ..values import to_json
from .golden import GOLDEN, pack_golden
from .source import PackageSource

PACKAGE_MANIFEST = "edgekit-package.json"
PACKAGE_SCHEMA = "edgekit.package-manifest/1"


def describe(source: PackageSource, format_name: str) -> dict[str, JSON]:
    """The manifest without the list of files: what is also stored beside the model in an app."""
    entry = source.artifact.entry
    return {
        "schema": PACKAGE_SCHEMA,
        "format": format_name,
        "name": source.name,
        "version": source.version,
        "group": source.group,
        "edgekit": source.edgekit,
        "bundle_sha256": source.bundle_sha256,
        "winner": {"id": source.winner.id, "provisional": source.winner.provisional},
        "artifact": {
            "entry": entry,
            "files": {
                path: {"sha256": source.artifact.files[path], "size_bytes": source.sizes[path]}
                for path in sorted(source.artifact.files)
            },
        },
        "inputs": [_tensor(source, tensor) for tensor in source.inputs],
        "outputs": [_tensor(source, tensor) for tensor in source.outputs],
        "preprocess": source.preprocess.to_json() if source.preprocess else None,
        "labels": list(source.labels) or None,
        "run": {"threads": source.threads, "options": dict(source.options)},
        "golden": _golden(source),
        "measured": measured(source),
    }


def _tensor(source: PackageSource, tensor: TensorMap) -> dict[str, JSON]:
    """``shape``: what a caller sees, null where the size is the caller's to choose; ``stored``: as the artifact has it."""
    return {
        "name": tensor.original.name,
        "dtype": tensor.original.dtype,
        "shape": list(source.shape(tensor)),
        "stored": to_json(tensor.artifact),
        "permutation": None if tensor.permutation is None else list(tensor.permutation),
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def _golden(source: PackageSource) -> dict[str, JSON]:
    _, entries = pack_golden(source)
    return {"file": GOLDEN, "tolerance": source.golden.tolerance, "tensors": [to_json(entry) for entry in entries]}


def measured(source: PackageSource) -> dict[str, JSON]:
    """The winner's numbers, each None where it was not measured."""
    row, report = source.row, source.report
    device = report.device or {}
    return {
        "profile": report.profile,
        "device": None
        if report.device is None
        else str(device.get("board") or device.get("cpu_model") or device.get("name") or ""),
        "device_kind": device.get("kind"),
        "latency_s": to_json(row.latency_s),
        "latency_reason": row.latency_reason,
        "speedup_vs_reference": to_json(row.speedup_vs_reference),
        "agreement": to_json(row.agreement),
        "metric": None
        if row.fidelity is None or row.fidelity.metric is None
        else {"name": row.fidelity.metric_name, "value": row.fidelity.metric, "float": row.fidelity.metric_float},
        "energy_j": row.energy_j,
        "peak_memory_bytes": row.peak_memory_bytes,
        "runtime": dict(source.effective) if source.effective else None,
    }


def with_files(document: Mapping[str, JSON], files: Mapping[str, FileEntry]) -> bytes:
    """The manifest's bytes with the list of every other file of the package."""
    return json_bytes({**document, "files": {path: to_json(entry) for path, entry in files.items()}})


def json_bytes(document: Any) -> bytes:
    """Keys sorted, so that the same content gives the same bytes."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()
