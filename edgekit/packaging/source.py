"""What a package is made of: a bundle, verified and read once. Nothing here writes, and nothing of the bundle is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import DataError, IntegrityError, UsageError
from ..manifest import CheckResult, check_bundle
from ..preprocess import Preprocess, preprocess_from_json
from ..signing import signature_of
from ..sshsig import SignatureFacts
from ..types import JSON, Artifact, Candidate, CandidateReport, DeployReport, TensorMap, Winner
from .contract import agree, check_contract, in_original_layout
from .labels import read_labels
from .names import JAVA, slug

if TYPE_CHECKING:
    from ..types import Array

DEFAULT_VERSION = "1.0.0"
DEFAULT_GROUP = "local.models"  # nobody's domain: what is published under it cannot be taken for somebody's
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_GROUP = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){2}(-[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?")
_MAX_NAME = 64


@dataclass(frozen=True)
class GoldenPair:
    """A synthetic feed and what the artifact made of it, by original name; ``tolerance`` as in a bundle."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    tolerance: float


@dataclass(frozen=True)
class PackageSource:
    """Everything that a format may put into a package.

    Attributes:
        name: of the package: lower-case words with ``-``. ``version``: ``1.2.3`` or ``1.2.3-beta.1``. ``group``: ``com.example``.
        model_name: of the model's file, as the bundle has it: any text.
        artifact_folder: where the artifact's files lie; ``artifact.files`` are relative to it.
        options: what the runner was started with: ``threads`` and the runtime's own.
        effective: what the runtime said was in force when it was measured, ``version`` among it; None where nothing was measured.
        preprocess: how a picture becomes the only input; None where the data were no pictures.
        labels: the classes in the order of the first output's last axis; empty when none were given.
        row: what was measured of the winner. ``report``: the whole verdict.
        bundle_sha256: of the bundle's ``edgekit.json``. ``bundle_signature``: what its signature says of itself, unverified; None
            without one.
    """

    name: str
    version: str
    group: str
    model_name: str
    winner: Winner
    candidate: Candidate
    artifact: Artifact
    artifact_folder: Path
    options: Mapping[str, JSON]
    effective: Mapping[str, JSON] | None
    preprocess: Preprocess | None
    labels: tuple[str, ...]
    row: CandidateReport
    report: DeployReport
    golden: GoldenPair
    edgekit: str
    bundle_sha256: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    bundle_signature: SignatureFacts | None = None

    @property
    def inputs(self) -> tuple[TensorMap, ...]:
        return tuple(tensor for tensor in self.artifact.io if tensor.role == "input")

    @property
    def outputs(self) -> tuple[TensorMap, ...]:
        return tuple(tensor for tensor in self.artifact.io if tensor.role == "output")

    @property
    def entry(self) -> Path:
        """The file that the runtime loads."""
        return self.artifact_folder / self.artifact.entry

    @property
    def entry_sha256(self) -> str:
        return self.artifact.files[self.artifact.entry]

    @property
    def kind(self) -> str:
        """The suffix of the entry, which says what loads it: ``.onnx``, ``.tflite``, ``.xml``."""
        return PurePosixPath(self.artifact.entry).suffix.lower()

    @property
    def threads(self) -> int:
        """Those that the winner was measured with."""
        threads = self.options.get("threads", 1)
        return threads if type(threads) is int and 1 <= threads <= 1024 else 1  # true is an int too

    @property
    def model_bytes(self) -> int:
        return sum(self.sizes.values())

    def shape(self, tensor: TensorMap) -> tuple[int | None, ...]:
        """The shape that a caller sees, in the original layout; None where the size of an axis is the caller's to choose.

        A size that the artifact or the preprocessing fixes is fixed. A free first axis of two or more is the batch, which is 1, as
        it was measured; so is every axis of the same name.
        """
        if self.preprocess is not None and tensor.role == "input":
            return picture_shape(self.preprocess)
        batch = {t.original.shape[0] for t in self.inputs if len(t.original.shape) > 1 and isinstance(t.original.shape[0], str)}
        found: list[int | None] = []
        for declared, stored in zip(tensor.original.shape, in_original_layout(tensor), strict=True):
            size = declared if isinstance(declared, int) else stored
            found.append(size if isinstance(size, int) else 1 if declared in batch else None)
        return tuple(found)


def picture_shape(preprocess: Preprocess) -> tuple[int, int, int, int]:
    """The shape that the preprocessing makes, the batch axis included."""
    height, width = preprocess.resize
    channels = 1 if preprocess.color == "gray" else 3
    return (1, channels, height, width) if preprocess.layout == "NCHW" else (1, height, width, channels)


def read_source(
    bundle: Path,
    *,
    name: str | None = None,
    version: str | None = None,
    group: str | None = None,
    labels: Path | None = None,
) -> PackageSource:
    """Verify ``bundle`` and read what a package is made of.

    Args:
        bundle: a folder that ``edgekit deploy -o`` wrote.
        name: of the package; that of the model's file unless given.
        version: 1.0.0 unless given.
        group: ``local.models`` unless given.
        labels: a text file, one class a line.

    Raises:
        IntegrityError: the bundle is not intact, or says what no honest one says.
        UsageError: a name that is none, a bundle without a winner, or one that has no golden pair.
        DataError: the labels cannot be read, or are not as many as the model has classes.
    """
    checked = check_bundle(bundle)
    found = checked.bundle
    if found.winner is None or found.artifact is None or found.candidate is None or found.runner is None:
        raise UsageError(f"{bundle} holds no artifact", why="no candidate was accepted", hint="edgekit deploy, with looser gates")
    if found.artifact.needs_device_build:
        raise UsageError(
            f"{bundle} is finished on the device it was made for",
            why="an app would have to build it there",
            hint="build with another target, such as onnx or tflite",
        )
    rows = [row for row in found.report.candidates if row.id == found.winner.id]
    if len(rows) != 1:
        raise IntegrityError(f"the winner {found.winner.id!r} is not one row of the report"[:200])
    check_contract(found.artifact)
    model_name = str(found.report.model.get("name", ""))
    source = PackageSource(
        name=_checked(
            name or slug(PurePosixPath(model_name).stem),
            _NAME,
            "--name",
            "lower-case letters, digits and single '-', a letter first",
        ),
        version=_checked(version or DEFAULT_VERSION, _VERSION, "--version", "three numbers such as 1.2.3, or 1.2.3-beta.1"),
        group=_group(group or DEFAULT_GROUP),
        model_name=model_name,
        winner=found.winner,
        candidate=found.candidate,
        artifact=found.artifact,
        artifact_folder=checked.path / "artifact",
        options=found.runner.options,
        effective=_runtime_facts(found.effective.get("runtime")),
        preprocess=_preprocess(checked),
        labels=(),
        row=rows[0],
        report=found.report,
        golden=_golden(checked),
        edgekit=found.edgekit,
        bundle_sha256=checked.manifest_sha256,
        sizes={path: found.files[f"artifact/{path}"].size_bytes for path in found.artifact.files},
        bundle_signature=signature_of(checked),
    )
    if labels is None:
        return source
    from dataclasses import replace

    return replace(source, labels=read_labels(labels, source.shape(source.outputs[0])))


def _checked(text: str, pattern: re.Pattern[str], option: str, form: str) -> str:
    if len(text) > _MAX_NAME or not pattern.fullmatch(text):
        raise UsageError(f"{option} {text[:_MAX_NAME]!r} cannot be used", why=f"it must be {form}, at most {_MAX_NAME} characters")
    return text


def _group(text: str) -> str:
    _checked(text, _GROUP, "--group", "lower-case words with dots between them, each with a letter first, such as com.example")
    for word in text.split("."):
        if word in JAVA.reserved:
            raise UsageError(f"--group {text!r} cannot be used", why=f"{word!r} is a word of Java's own")
    return text


def _runtime_facts(recorded: JSON) -> Mapping[str, JSON] | None:
    if recorded is not None and not isinstance(recorded, Mapping):
        raise IntegrityError("what the runtime said of itself is no table", why=repr(recorded)[:100])
    return recorded


def _preprocess(checked: CheckResult) -> Preprocess | None:
    """How pictures became the input: from the calibration data, or else from those that were judged with.

    Raises:
        IntegrityError: it is none, or does not make the model's only input.
    """
    for recorded in (checked.bundle.calibration, checked.bundle.report.evaluation):
        document = (recorded or {}).get("preprocess")
        if document is None:
            continue
        try:
            preprocess = preprocess_from_json(dict(document), name="the bundle's preprocess")
        except (UsageError, TypeError, ValueError) as problem:
            raise IntegrityError("the recorded preprocessing is none", why=str(problem)[:300]) from problem
        inputs = (
            [tensor.original for tensor in checked.bundle.artifact.io if tensor.role == "input"] if checked.bundle.artifact else []
        )
        fits = len(inputs) == 1 and inputs[0].dtype == preprocess.dtype and agree(inputs[0].shape, picture_shape(preprocess))
        if not fits:
            raise IntegrityError("the recorded preprocessing does not make the model's input")
        return preprocess
    return None


def _golden(checked: CheckResult) -> GoldenPair:
    """The golden pair, which has every tensor of the contract and nothing else.

    Raises:
        UsageError: the bundle has none. IntegrityError: it does not fit the contract.
    """
    from ..npy_stream import Archive

    files, artifact = checked.bundle.golden, checked.bundle.artifact
    assert artifact is not None
    if files is None:
        raise UsageError(
            f"{checked.path.name} has no golden pair",
            why="the winner failed on synthetic input, so a package could not test itself",
            hint="see the warnings of edgekit deploy",
        )
    arrays: dict[str, dict[str, Array]] = {}
    for role, path in (("input", files.inputs), ("output", files.outputs)):
        with Archive(checked.path / path, path, of_tensors=True) as archive:
            arrays[role] = {name: archive.read(name) for name in archive.members}
    for tensor in artifact.io:
        array = arrays[tensor.role].get(tensor.original.name)
        if array is None or len(array.shape) != len(tensor.original.shape) or str(array.dtype) != tensor.original.dtype:
            raise IntegrityError(f"the golden pair does not fit {tensor.original.name[:80]!r}")
    if sum(map(len, arrays.values())) != len(artifact.io):
        raise IntegrityError("the golden pair has tensors that the contract does not have")
    if not 0 <= files.tolerance < 1:
        raise DataError("the golden pair has a tolerance that compares nothing", why=f"it is {files.tolerance}")
    return GoldenPair(arrays["input"], arrays["output"], files.tolerance)
