"""The model that a user gives: a path, what identifies it, and its typed inputs and outputs.

The file is never modified. What is wrong with it, and what edgekit straightens out in its own copy, is said in ``notes``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ModelError, UsageError
from .targets import ONNX_FORMATS, Reading, own_formats
from .types import TensorSpec, sha256_file
from .values import sha256_json

if TYPE_CHECKING:
    from .frontends.onnx_frontend import OnnxFacts

_LARGEST_DIMENSION = 1 << 31
_ACCEPTED = "accepted: .onnx, .pt2, .tflite"


@dataclass(frozen=True)
class Model:
    """A model file that has been read, checked and loaded once.

    Hashable; ``shape`` is a plain dict and left out of the hash, the fingerprint covers it.
    """

    path: Path  #: the user's file, never modified
    onnx_path: Path  #: what is built from: ``path`` itself, or the ONNX exported from it in edgekit's cache
    format: str  #: of ``path``: "onnx", "pt2", or a runtime's own ("tflite"), which only that runtime's target takes
    fingerprint: str  #: of the ONNX: sha256 of graph, tensor bytes (wherever they are stored) and shape overrides; no paths
    inputs: tuple[TensorSpec, ...]  #: true inputs only; a weight that is listed as an input is none
    outputs: tuple[TensorSpec, ...]
    opset: int  #: or the version of the runtime's own format
    size_bytes: int  #: of the ONNX: graph and external data
    shape: dict[str, tuple[int, ...]] = field(hash=False)  #: overrides by ``--shape``
    quantized: str | None  #: None, or what says that it is quantized already: "Q/DQ", "QOperator", "integer weights" ...
    notes: tuple[str, ...]  #: where the ONNX comes from and what is cleaned up, one sentence each


def load_model(path: str | Path, *, shape: Mapping[str, Sequence[int]] | None = None, trust_model: bool = False) -> Model:
    """Read and check a model file.

    Args:
        path: an ``.onnx`` file, opset 9 or later, external data in its folder; or a ``.pt2`` of ``torch.export.save``, which is
            exported to ONNX once (docs/pytorch.md); or a ``.tflite``, for the tflite target alone. A module that is in memory:
            :func:`edgekit.from_torch`.
        shape: sizes to use for inputs, by name; re-pins sizes that the exporter fixed. The model must run at that shape.
        trust_model: let PyTorch load a ``.pt2`` as code, which runs whatever it holds with the caller's rights.

    Raises:
        ModelError: missing, broken, cut off, unsafe, unknown operators, text inputs, or an unsupported format.
        MissingExtraError: a ``.pt2``, and torch or onnxscript is not installed; a ``.tflite``, and LiteRT is not.
        UsageError: not a path; or ``shape`` names an unknown input, has the wrong number of dimensions or a size that is no
            positive integer.

    Example:
        >>> from edgekit.demo import demo_models
        >>> load_model(demo_models()[1].model).inputs
        (TensorSpec(name='image', dtype='float32', shape=('n', 1, 28, 28)),)
    """
    path = Path(model_path(path))
    overrides = {name: _checked_sizes(name, sizes) for name, sizes in (shape or {}).items()}
    _check_kind(path)
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in ONNX_FORMATS:
        return _of_its_own_format(path, suffix, overrides)
    onnx_path = path
    origin: tuple[str, ...] = ()
    if suffix == "pt2":
        from .frontends.torch_frontend import export_archive

        exported = export_archive(path, trusted=trust_model)
        onnx_path, origin = exported.onnx_path, exported.notes
    facts = _read(onnx_path, overrides)
    return Model(
        path=path,
        onnx_path=onnx_path,
        format=suffix,
        fingerprint=facts.fingerprint,
        inputs=facts.inputs,
        outputs=facts.outputs,
        opset=facts.opset,
        size_bytes=facts.size_bytes,
        shape=overrides,
        quantized=facts.quantized,
        notes=(*origin, *facts.notes),
    )


def _of_its_own_format(path: Path, suffix: str, overrides: Mapping[str, tuple[int, ...]]) -> Model:
    """A model that is in a runtime's own format already; that runtime's target reads it."""
    reader = own_formats()[suffix]
    assert isinstance(reader, Reading)
    facts = reader.read_file(path)
    fixed = {spec.name: spec.shape for spec in facts.inputs}
    for name, sizes in overrides.items():
        if fixed.get(name) != sizes:
            shown = ", ".join(f"{known}={'x'.join(map(str, shape))}" for known, shape in fixed.items())
            raise UsageError(f"the shapes of a .{suffix} model are fixed", why=f"its inputs: {shown}", hint="leave --shape out")
    return Model(
        path=path,
        onnx_path=path,
        format=suffix,
        fingerprint=_fingerprint_of_file(path, suffix),
        inputs=facts.inputs,
        outputs=facts.outputs,
        opset=facts.version,
        size_bytes=path.stat().st_size,
        shape=dict(overrides),
        quantized=facts.quantized,
        notes=(),
    )


def check_unchanged(model: Model) -> None:
    """For targets that read a file in their runtime's own format, after they have done so: what was built is kept by fingerprint.

    Raises:
        ModelError: the file is another one than ``load_model`` read.
    """
    if _fingerprint_of_file(model.path, model.format) != model.fingerprint:
        raise ModelError(
            f"{model.path.name} has changed while edgekit was working with it", hint="run again when nothing writes to it"
        )


def _fingerprint_of_file(path: Path, suffix: str) -> str:
    return sha256_json({"format": f"edgekit-{suffix}-model/1", "file": sha256_file(path)})


def model_path(model: object) -> str:
    """The path of a model as text.

    Raises:
        UsageError: it is something else, for example a PyTorch module.
    """
    if isinstance(model, (str, Path)):
        return str(model)
    raise UsageError(
        f"{type(model).__name__} is not the path of a model",
        hint="for a PyTorch module give edgekit.from_torch(module, example_inputs), which is the path of its ONNX",
    )


def _read(path: Path, overrides: Mapping[str, tuple[int, ...]]) -> OnnxFacts:
    from .frontends.onnx_frontend import read_facts

    try:
        return read_facts(path, overrides)
    except ModelError as problem:
        if not overrides:
            raise
        try:
            declared = read_facts(path, {})
        except ModelError:
            raise problem from None  # not the shape's fault
        given, own = (
            ", ".join(f"{name}={'x'.join('?' if isinstance(size, str) else str(size) for size in sizes)}" for name, sizes in shapes)
            for shapes in (overrides.items(), [(spec.name, spec.shape) for spec in declared.inputs])
        )
        raise ModelError(
            f"the model does not work at --shape {given}",
            why=problem.why,
            hint=f"its own shape is {own}; where it is fixed, export the model at the shape that is wanted",
        ) from problem


def _checked_sizes(name: str, sizes: object) -> tuple[int, ...]:
    given = tuple(sizes) if isinstance(sizes, Iterable) else (sizes,)
    shown = "x".join(map(str, given))
    if any(isinstance(size, bool) or not isinstance(size, Integral) or size < 1 for size in given):
        raise UsageError(f"the shape of {name!r} has a size that is no positive integer", why=f"it is {shown}")
    if any(size >= _LARGEST_DIMENSION for size in given):
        raise UsageError(
            f"the shape of {name!r} has a size that is too large",
            why=f"it is {shown}",
            hint=f"the most is {_LARGEST_DIMENSION - 1}",
        )
    return tuple(int(size) for size in given)


def _check_kind(path: Path) -> None:
    """Refuse what is no model file before anything heavy is imported."""
    suffix = path.suffix.lower()
    try:
        exists, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
    except OSError as problem:
        raise ModelError(f"cannot look at {path}", why=problem.strerror or str(problem)) from problem
    if not exists:
        raise ModelError(f"there is no model at {path}", hint="check the path")
    if is_folder:
        raise ModelError(f"{path} is a folder", why="a model is one file", hint=f"name the file in it; {_ACCEPTED}")
    if not is_file:
        raise ModelError(f"{path} is not a regular file", hint=_ACCEPTED)
    if suffix in (".pt", ".pth", ".pkl", ".ckpt"):
        raise ModelError(
            f"{path.name} is not accepted",
            why=f"{suffix} files are Python pickles: loading one runs whatever code it holds, and it lacks the model's graph",
            hint="make a .pt2 in Python: torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2'); from a "
            "module in memory, edgekit.from_torch(model, example); or give an .onnx of torch.onnx.export(...)",
        )
    kind = suffix.removeprefix(".")
    if kind not in ONNX_FORMATS and kind not in own_formats():
        raise ModelError(
            f"{path.name} is not in a format that edgekit reads", why=f"its name ends in {suffix or 'nothing'!r}", hint=_ACCEPTED
        )
