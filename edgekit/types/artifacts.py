"""What is tried, what is built of it, and what runs that on a device."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..schemes import Scalar, Scheme
from .tensors import JSON, NodeId, TensorSpec


@dataclass(frozen=True)
class Candidate:
    """One thing worth trying. Options are JSON scalars; empty options and no ``keep_float`` mean the target's defaults."""

    target: str
    scheme: Scheme
    keep_float: frozenset[NodeId] = frozenset()
    build_options: dict[str, Scalar] = field(default_factory=dict)
    run_options: dict[str, Scalar] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """``"onnx/int8"``; with a hash of the canonical JSON behind ``~`` when anything is not default."""
        from ..values import sha256_json, to_json

        plain = f"{self.target}/{self.scheme.slug}"
        if self == Candidate(self.target, _default_scheme(self.scheme)):
            return plain
        return f"{plain}~{sha256_json(to_json(self))[:8]}"


def _default_scheme(scheme: Scheme) -> Scheme:
    from ..schemes import Vendor, WeightOnly

    if isinstance(scheme, WeightOnly):
        return WeightOnly(bits=scheme.bits)
    return Vendor(scheme.slug) if isinstance(scheme, Vendor) else type(scheme)()


@dataclass(frozen=True)
class Reject:
    """Why a candidate is not tried: what does not fit, why, and what to do instead."""

    what: str
    why: str
    instead: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" + (f"; instead: {self.instead}" if self.instead else "")


@dataclass(frozen=True)
class TensorMap:
    """How one of the model's tensors appears in an artifact.

    ``permutation`` takes the original axes to the artifact's (``artifact = original.transpose(permutation)``); scale and zero point
    are set when the artifact's tensor is quantized: ``real = scale * (stored - zero_point)``.
    """

    role: Literal["input", "output"]
    original: TensorSpec
    artifact: TensorSpec
    permutation: tuple[int, ...] | None = None
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Artifact:
    """Files that a runtime loads, by path relative to the folder they were built in, with their sha256."""

    files: dict[str, str]
    entry: str
    io: tuple[TensorMap, ...]
    needs_device_build: bool = False
    provenance: dict[str, JSON] = field(default_factory=dict)

    def size_bytes(self, folder: Path) -> int:
        return sum((folder / name).stat().st_size for name in self.files)


@dataclass(frozen=True)
class Runner:
    """The device side of a target: self-contained source files, and how to start them.

    ``tolerance``: how far a device's outputs may lie from the host's for the same artifact, as a fraction of the output's largest
    magnitude on the host. ``host_options``: options that hold on a host that judges an artifact of another device, where its own
    kernels would not compute what the device's do.
    """

    code: tuple[Path, ...]
    entry: str
    requires: tuple[str, ...]
    files: tuple[str, ...]
    options: dict[str, JSON] = field(default_factory=dict)
    tolerance: float = 1e-3
    host_options: dict[str, JSON] = field(default_factory=dict)


def sha256_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
