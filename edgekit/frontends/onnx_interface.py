"""The inputs and outputs of a model: what the file declares, what the user overrides, what ONNX Runtime really sees.

Exporters pin sizes that the graph does not need and declare output sizes that it does not give. Inputs are taken as declared unless
overridden; an output's declared size is kept only where nothing contradicts it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from ..errors import ModelError, UsageError
from ..types import TensorSpec
from .graph import weights_as_inputs
from .onnx_session import trial_runs
from .tensors import type_name

#: ONNX element type -> numpy dtype name, for what can be fed to and read from a runtime as a plain numpy array.
_DTYPES = {
    "FLOAT": "float32", "DOUBLE": "float64", "FLOAT16": "float16", "BOOL": "bool",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
}  # fmt: skip
#: The shape of an output of which nothing is known, not even how many dimensions it has.
UNKNOWN_RANK: tuple[int | str, ...] = ("...",)

Shape = tuple[int | str | None, ...]  # None: free and without a name


# ---------------------------------------------------------------- inputs
def read_inputs(graph: onnx.GraphProto, shape: Mapping[str, Sequence[int]]) -> tuple[TensorSpec, ...]:
    """The true inputs (initializers are off the list already), with ``shape`` put in the place of what is declared.

    A dimension's name that an override gives a size gets that size in the other inputs too: the same name is the same size.

    Raises:
        UsageError: an override names no input, or has another number of dimensions.
        ModelError: an input is no tensor of numbers, or its number of dimensions is unknown and not overridden.
    """
    declared = {entry.name: _declared_shape(entry) for entry in graph.input}
    if not declared:
        raise ModelError("the model has no inputs", why="there is nothing to measure it with", hint="export it with its inputs")
    for name, sizes in shape.items():
        _check_override(name, sizes, declared)
    sizes_by_name = _named_sizes(declared, shape)
    unnamed = iter(f"?{number}" for number in range(1 << 30))
    specs = []
    for entry in graph.input:
        dtype = _dtype(entry, "input")
        known = shape[entry.name] if entry.name in shape else declared[entry.name]
        if known is None:
            raise ModelError(
                f"input {entry.name!r} declares no shape",
                why="the number of its dimensions is unknown",
                hint=f"give one: --shape {entry.name}=1x3x224x224",
            )
        bound = [sizes_by_name.get(size, size) if isinstance(size, str) else size for size in known]
        specs.append(TensorSpec(entry.name, dtype, tuple(next(unnamed) if size is None else size for size in bound)))
    return tuple(specs)


def _check_override(name: str, sizes: Sequence[int], declared: Mapping[str, Shape | None]) -> None:
    if name not in declared:
        known = ", ".join(f"{known}={_shape_text(shape)}" for known, shape in declared.items())
        raise UsageError(f"--shape names {name!r}, which is no input of the model", hint=f"its inputs: {known}")
    shape = declared[name]
    if shape is not None and len(sizes) != len(shape):
        raise UsageError(
            f"--shape gives {name!r} {len(sizes)} dimensions",
            why=f"it has {len(shape)}",
            hint=f"declared: {name}={_shape_text(shape)}",
        )


def _shape_text(shape: Shape | None) -> str:
    return "any" if shape is None else "x".join("?" if size is None else str(size) for size in shape) or "scalar"


def _named_sizes(declared: Mapping[str, Shape | None], shape: Mapping[str, Sequence[int]]) -> dict[str, int]:
    found: dict[str, set[int]] = {}
    for name, sizes in shape.items():
        for dimension, size in zip(declared[name] or (), sizes, strict=False):
            if isinstance(dimension, str):
                found.setdefault(dimension, set()).add(size)
    return {dimension: sizes.pop() for dimension, sizes in found.items() if len(sizes) == 1}


def _dtype(entry: onnx.ValueInfoProto, kind: str) -> str:
    if not entry.type.HasField("tensor_type"):
        found = entry.type.WhichOneof("value") or "unknown"
        raise ModelError(
            f"{kind} {entry.name!r} is no tensor but of type {found.removesuffix('_type')}",
            why="only tensors can be measured and compared",
            hint="export the model with plain tensors (scikit-learn: without ZipMap)",
        )
    name = type_name(entry.type.tensor_type.elem_type)
    if name == "STRING":
        raise ModelError(
            f"{kind} {entry.name!r} takes text" if kind == "input" else f"{kind} {entry.name!r} gives text",
            why="edge runtimes and quantizers work on numbers",
            hint="keep tokenizers and label names outside the model",
        )
    if name not in _DTYPES:
        raise ModelError(
            f"{kind} {entry.name!r} has element type {name.lower()}",
            why="numpy has no such type to feed or compare",
            hint="cast to float32 at the model's edge",
        )
    return _DTYPES[name]


def _declared_shape(entry: onnx.ValueInfoProto) -> Shape | None:
    """None when the file does not even say how many dimensions there are."""
    tensor = entry.type.tensor_type
    return tuple(_dimension(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None


def _dimension(dim: Any) -> int | str | None:
    """A size, a real name, or None. Exporters also write "free" as -1, 0, "?", "-1", "None" or "unk__12"."""
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value > 0 else None
    name: str = dim.dim_param
    return None if name.lstrip("-").isdigit() or name in ("", "?", "None") or name.startswith("unk__") else name


# ---------------------------------------------------------------- outputs
def read_outputs(graph: onnx.GraphProto, inputs: Sequence[TensorSpec], session: Any) -> tuple[tuple[TensorSpec, ...], list[str]]:
    """The outputs with shapes that ONNX Runtime agrees with, and a note for each declared shape that was wrong.

    Args:
        session: of the model without declared output shapes (:func:`forget_shapes`), so that what it says is its own inference.

    Where inference cannot confirm a declared size the model is run on up to two made-up inputs.
    """
    inferred = {output.name: tuple(output.shape) for output in session.get_outputs()}
    declared = {entry.name: _declared_shape(entry) for entry in graph.output}
    for entry in graph.output:
        _dtype(entry, "output")
    seen: list[dict[str, tuple[int, ...]]] = []
    if any(not _confirmed(declared[name], inferred[name]) for name in declared):
        runs = itertools.islice(trial_runs(session, inputs), 2)
        seen = [{name: array.shape for name, array in values.items()} for _, values in runs]
    is_static = all(isinstance(size, int) for spec in inputs for size in spec.shape)
    specs = []
    notes = []
    unnamed = iter(f"?out{number}" for number in range(1 << 30))
    for entry in graph.output:
        name = entry.name
        shape = _reconcile(declared[name], inferred[name], [shapes[name] for shapes in seen], is_static=is_static)
        if _contradicts(declared[name], shape):
            notes.append(f"declared shape {_shape_text(declared[name])} of output {name!r} is wrong, it is {_shape_text(shape)}")
        named = UNKNOWN_RANK if shape is None else tuple(next(unnamed) if size is None else size for size in shape)
        specs.append(TensorSpec(name, _dtype(entry, "output"), named))
    return tuple(specs), notes


def _confirmed(declared: Shape | None, inferred: Shape) -> bool:
    """Nothing left to find out by running: ONNX Runtime infers a size wherever one is declared.

    It writes an unknown rank and a scalar alike, as no dimensions, so that confirms nothing.
    """
    if not inferred:
        return False
    if declared is None or len(declared) != len(inferred):
        return True
    return all(isinstance(real, int) or not isinstance(size, int) for size, real in zip(declared, inferred, strict=True))


def _reconcile(declared: Shape | None, inferred: Shape, seen: list[tuple[int, ...]], *, is_static: bool) -> Shape | None:
    ranks = {len(shape) for shape in seen}
    if not inferred:
        if len(ranks) != 1:
            return None if ranks else declared
        inferred = (None,) * ranks.pop()
    if declared is None or len(declared) != len(inferred):
        declared = (None,) * len(inferred)
    shape: list[int | str | None] = []
    for axis, (size, real) in enumerate(zip(declared, inferred, strict=True)):
        values = {run_shape[axis] for run_shape in seen}
        if isinstance(real, int):
            shape.append(real)
        elif isinstance(size, int) and values and values != {size}:
            shape.append(values.pop() if is_static and len(values) == 1 else None)
        else:
            shape.append(size if size is not None else _real_name(real))
    return tuple(shape)


def _real_name(name: int | str | None) -> str | None:
    """ONNX Runtime's own invented names mean nothing to a reader."""
    return None if not isinstance(name, str) or name.startswith("unk__") or name == "?" else name


def _contradicts(declared: Shape | None, real: Shape | None) -> bool:
    if declared is None or real is None:
        return False
    if len(declared) != len(real):
        return True
    return any(isinstance(size, int) and size != other for size, other in zip(declared, real, strict=True))


# ---------------------------------------------------------------- writing shapes back
def set_shapes(graph: onnx.GraphProto, specs: Sequence[TensorSpec]) -> None:
    """Declare ``specs`` for the inputs and outputs of their names; free sizes without a real name are left out."""
    by_name = {spec.name: spec for spec in specs}
    for entry in [*graph.input, *graph.output]:
        if entry.name not in by_name:
            continue
        tensor = entry.type.tensor_type
        tensor.ClearField("shape")
        shape = by_name[entry.name].shape
        if shape == UNKNOWN_RANK:
            continue
        tensor.shape.SetInParent()
        for size in shape:
            dim = tensor.shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            elif not size.startswith("?"):
                dim.dim_param = size


def forget_shapes(graph: onnx.GraphProto) -> None:
    """Drop every declared shape that is not an input's: what remains is found out from the inputs."""
    for entry in graph.output:
        if entry.type.HasField("tensor_type"):
            entry.type.tensor_type.ClearField("shape")
    _forget_inner_shapes(graph, frozenset())


def drop_stale_shapes(proto: onnx.ModelProto, *, is_overridden: bool) -> str | None:
    """Keep inner shapes (``value_info``) only where shape inference from the inputs does not contradict them.

    With an overridden input shape (``is_overridden``) those that inference cannot confirm go too. Element types stay.
    """
    if not proto.graph.value_info:
        return None
    light, _ = weights_as_inputs(proto)
    forget_shapes(light.graph)
    try:
        light = onnx.shape_inference.infer_shapes(light, data_prop=True)
        inferred = {entry.name: _declared_shape(entry) for entry in light.graph.value_info}
    except onnx.shape_inference.InferenceError:
        inferred = {}  # ONNX Runtime could load it; what onnx cannot infer is merely not confirmed
    stale = set()
    for entry in proto.graph.value_info:
        declared, real = _declared_shape(entry), inferred.get(entry.name)
        if declared is not None and (is_overridden if real is None else _inner_contradicts(declared, real, is_overridden)):
            stale.add(entry.name)
    _forget_inner_shapes(proto.graph, {entry.name for entry in proto.graph.value_info} - stale)
    return f"declared inner shapes that do not follow from the inputs dropped: {len(stale)}" if stale else None


def _inner_contradicts(declared: Shape, real: Shape, is_overridden: bool) -> bool:
    if len(declared) != len(real):
        return True
    pairs = zip(declared, real, strict=True)
    return any(isinstance(size, int) and size != other and (is_overridden or isinstance(other, int)) for size, other in pairs)


def _forget_inner_shapes(graph: onnx.GraphProto, keep: frozenset[str] | set[str]) -> None:
    for entry in graph.value_info:
        if entry.name not in keep and entry.type.HasField("tensor_type"):
            entry.type.tensor_type.ClearField("shape")
