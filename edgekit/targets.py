"""The target protocol and the registry of plugins (entry-point group ``edgekit.targets``).

A target turns a model into files for one runtime and names the code that runs them on a device. It never opens a connection and
never imports its vendor's package when it is imported.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from .errors import EdgekitError, UnknownNameError, UsageError
from .schemes import Scalar
from .types import JSON, Artifact, BuildData, Candidate, NodeId, Reject, Runner, Site, TensorSpec

if TYPE_CHECKING:
    from .model import Model
    from .quantize.types import Sparable

GROUP = "edgekit.targets"
REFERENCE = "onnx"  # ONNX Runtime float32 is what every speed and quality of an ONNX model is compared with


@runtime_checkable
class Target(Protocol):
    """What a plugin provides. Every argument and result is a frozen value."""

    name: str
    version: str
    supports_keep_float: bool

    def candidates(self, model: Model, site: Site) -> Sequence[Candidate]:
        """Worth trying here, likeliest first. Exactly one is the target's full-precision baseline (``Float32`` or ``AsIs``)."""
        ...

    def reject(self, model: Model, candidate: Candidate, site: Site) -> Reject | None:
        """Why ``candidate`` cannot work, before any slow work; ``None`` when it may."""
        ...

    def build_key(self, site: Site) -> JSON:
        """The facts of the device that a build depends on; part of the cache key."""
        ...

    def build(self, model: Model, candidate: Candidate, data: BuildData | None, site: Site, out: Path) -> Artifact:
        """Write the artifact's files under ``out`` (which exists and is empty).

        ``data`` is None without ``--calib``; a scheme that needs it has been rejected before.

        Raises:
            ModelError: the model cannot be expressed for this runtime.
            MissingExtraError: the vendor's package is not installed.
        """
        ...

    def runner(self, artifact: Artifact, site: Site) -> Runner:
        """The device-side code for ``artifact`` and its options."""
        ...


@runtime_checkable
class Refining(Protocol):
    """What a target may offer besides: changes of a candidate's build that often bring it closer to float."""

    def refinements(self, model: Model, candidate: Candidate, site: Site) -> Sequence[Mapping[str, Scalar]]:
        """Build options to try on top of ``candidate``, likeliest first; each is kept only if the held-out error falls.

        Every one costs a build, so there are few. Empty where nothing is known to help.
        """
        ...


@runtime_checkable
class Sparing(Protocol):
    """What a target may offer besides: which operators a candidate quantizes, so that the search can keep some of them in float."""

    def sparable(self, model: Model, candidate: Candidate, site: Site) -> Sparable | None:
        """What building ``candidate`` would quantize, and how; None where there is nothing to choose."""
        ...

    def operator_seconds(self, model: Model, folder: Path, artifact: Artifact, layers: JSON) -> dict[NodeId, float]:
        """Seconds an inference that each operator takes.

        Args:
            folder: where the artifact's files lie on this machine.
            layers: what the device side's ``layers()`` told.
        """
        ...


@dataclass(frozen=True)
class FileFacts:
    """What a file in a runtime's own format says of itself.

    ``version``: of the format. ``quantized``: None, or what says that it is. ``weight_bytes``: by element type.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    version: int
    quantized: str | None
    operators: Mapping[str, int]
    parameters: int
    weight_bytes: Mapping[str, int]


@runtime_checkable
class Reading(Protocol):
    """What a target may offer besides: models that are in its runtime's own format already. Its float is then their reference."""

    formats: Sequence[str]  #: suffixes without the dot

    def read_file(self, path: Path) -> FileFacts:
        """What is in the file.

        Raises:
            ModelError: it is damaged, or no model of that format.
            MissingExtraError: what reads it is not installed.
        """
        ...


@dataclass(frozen=True)
class RuleFinding:
    """What a rule of a runtime says against a model.

    Attributes:
        rule: the rule's id; docs of the target list them.
        severity: "error": the runtime refuses it, or computes something else than the file says; "warning": it is right but
        slower, or depends on something that is not known here.
        node: NodeId of the node in the file as it is; empty where the file as a whole is meant.
        operator: the node's type.
        what: what is the matter, in a sentence. ``fix``: what to do about it.
    """

    rule: str
    severity: Literal["error", "warning"]
    node: NodeId
    operator: str
    what: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.operator} {self.node}: " if self.node else ""
        return f"{where}{self.what} [{self.rule}]"


@runtime_checkable
class Checking(Protocol):
    """What a target may offer besides: its runtime's rules, checked on a file without building anything."""

    def check(self, path: Path, site: Site) -> Sequence[RuleFinding]:
        """What the runtime at ``site`` has against the ONNX file ``path``, in graph order; empty where it has nothing.

        Raises:
            ModelError: the file cannot be read.
        """
        ...


@runtime_checkable
class Attesting(Protocol):
    """What a target may offer besides: evidence about a finished artifact that is too slow to gather for everything that is
    tried."""

    def attest(self, folder: Path, artifact: Artifact, site: Site) -> Mapping[str, JSON]:
        """What joins the provenance of an artifact that is handed over; its files lie in ``folder``. Says so where it has none."""
        ...


@dataclass(frozen=True)
class DeviceRuntime:
    """What a target's code on the device imports.

    ``packages``: by the names of their metadata. Any of them does; the first is the one to install, from an index.
    ``comes_with``: the command for people where it is in no index, but comes with the board's own software; else empty.
    """

    packages: tuple[str, ...]
    comes_with: str = ""


@runtime_checkable
class Settable(Protocol):
    """What a target may say besides: build options that a user may set for all of its candidates, such as ``sparsity``."""

    settings: Sequence[str]


@runtime_checkable
class Needing(Protocol):
    """What a target may say besides: what it needs on a device; ``edgekit devices doctor`` tells what of it is missing there."""

    device_runtime: DeviceRuntime


#: Formats that become ONNX when they are loaded: every target builds from that.
ONNX_FORMATS = ("onnx", "pt2")


def reads(target: Target, model_format: str) -> bool:
    """Whether ``target`` builds from models of that format."""
    return model_format in ONNX_FORMATS or (isinstance(target, Reading) and model_format in target.formats)


def own_formats() -> dict[str, Target]:
    """The formats besides ONNX that installed targets read: {suffix without the dot: target}."""
    return {suffix: target for target in registry().values() if isinstance(target, Reading) for suffix in target.formats}


def reference_target(model_format: str) -> Target:
    """Whose full precision is what every quality and speed of a model of that format is compared with."""
    return get_target(REFERENCE) if model_format in ONNX_FORMATS else own_formats()[model_format]


@functools.cache
def registry() -> dict[str, Target]:
    """All installed targets by name. ``null`` (no hardware, for tests) is always there.

    Raises:
        UsageError: two plugins share a name, or one fails to load.
    """
    found: dict[str, Target] = {}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        try:
            target = entry.load()
        except EdgekitError:
            raise
        except Exception as problem:  # whatever a third-party plugin raises at import is its load error
            raise UsageError(
                f"target plugin {entry.name!r} ({entry.value}) does not load",
                why=f"{type(problem).__name__}: {problem}",
                hint="update or uninstall the package that provides it",
            ) from problem
        if not isinstance(target, Target) or target.name != entry.name:
            raise UsageError(
                f"target plugin {entry.name!r} ({entry.value}) is not a Target of that name",
                hint="the entry point must name an object with the attributes of edgekit.targets.Target",
            )
        if entry.name in found and found[entry.name] is not target:
            raise UsageError(f"two plugins are named {entry.name!r}", hint="uninstall one of them")
        found[entry.name] = target
    return found


def get_target(name: str) -> Target:
    """The target called ``name``.

    Raises:
        UnknownNameError: with the nearest names.
    """
    known = registry()
    if name not in known:
        raise UnknownNameError("target", name, sorted(known))
    return known[name]
