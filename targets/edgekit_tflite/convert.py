"""From the model to a float ``.tflite``: at fixed shapes, converted by onnx2tf in its toolchain, compared with ONNX Runtime, kept.

The comparison comes before anything else is done with the file: a quantizer would hide what a converter broke.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import ModelError
from edgekit.state import work_folder
from edgekit.types import JSON, Artifact, BuildData, NodeId, TensorMap, TensorSpec, sha256_file

from . import graph as tflite_graph
from .convert_names import rename, safe_names
from .convert_products import products_as_gemm
from .convert_shapes import fixed_feeds, pin, why_not_fixed

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model

TOOLCHAIN = "onnx2tf"
ENTRY = "model.tflite"
TENSORS = "tensors.json"
#: Feeds that a conversion is compared on.
PARITY_FEEDS = 4
#: What was said, of this process: every candidate asks for the same conversion. An error itself would hold on to all that its
#: traceback sees: the value of every inner tensor.
_failures: dict[str, tuple[str, str, str]] = {}
_as_they_are: set[str] = set()  # fingerprints of given files that need no rewriting
_WORKER = Path(__file__).with_name("convert_worker.py")


@dataclass(frozen=True)
class Converted:
    """A float ``.tflite`` in edgekit's cache: to be copied, never changed.

    Attributes:
        path: the file.
        io: how the model's inputs and outputs appear in it.
        operators: {NodeId: the positions of the operators (of ``graph.read(path).operators``) that compute it}. Two nodes that
            became one operator (a convolution and its activation) both name it; a node that vanished has none. In a model that is
            a ``.tflite`` the NodeId is the name of an operator's first output.
        difference: from ONNX Runtime, the largest, as a fraction of the output's largest magnitude.
        provenance: the converter and its version, the toolchain's lock.
    """

    path: Path
    io: tuple[TensorMap, ...]
    operators: Mapping[NodeId, tuple[int, ...]]
    difference: float
    provenance: Mapping[str, JSON]


def refuse(model: Model) -> str:
    """Why the model cannot be converted, as far as its operators tell; empty where it may. Cheap."""
    from edgekit.frontends import onnx_frontend

    if model.format == "tflite":
        return ""
    try:
        return why_not_fixed(onnx_frontend.read_raised(model))
    except ModelError as problem:
        return f"the model cannot be raised to a current opset: {problem}"


def convert(model: Model, data: BuildData | None = None) -> Converted:
    """The model as a float ``.tflite``: as it is where it is one, otherwise from the cache, or converted and compared.

    Free sizes become those of the samples; without samples only a free batch may be left, and becomes 1.

    Raises:
        ModelError: it cannot be converted (names operator and reason), or the conversion does not say what the model says: names
            the first tensor that differs; or the samples have several shapes.
        DependencyError: the toolchain cannot be had.
    """
    from edgekit.cache import get_or_build
    from edgekit.toolchain import get_toolchain
    from edgekit.toolchain_locks import lock_sha256
    from edgekit.values import sha256_json

    if model.format == "tflite":
        return _as_it_is(model)
    why = refuse(model)
    if why:
        raise ModelError(
            "this model cannot be converted to TFLite",
            why=why,
            hint="export it without branches (at one sampling rate, shape or mode), or use the onnx target",
        )
    feeds = fixed_feeds(model.inputs, data.held_out if data is not None else None, n=PARITY_FEEDS)
    toolchain = get_toolchain(TOOLCHAIN)
    key = {
        "format": "edgekit-tflite-conversion/1",
        "toolchain": lock_sha256(toolchain),
        "code": {path.name: sha256_file(path) for path in sorted(_WORKER.parent.glob("convert*.py"))},
        "model": model.fingerprint,
        "shapes": {name: list(array.shape) for name, array in feeds[0].items()},
    }
    name = sha256_json(key)
    if name in _failures:
        what, why, hint = _failures[name]
        raise ModelError(what, why=why, hint=hint)
    try:
        artifact, folder, _ = get_or_build(key, lambda out: _convert(model, feeds, out))
    except ModelError as problem:
        _failures[name] = (problem.what, problem.why, problem.hint)
        raise
    tensors = json.loads((folder / TENSORS).read_text())
    found = artifact.provenance
    return Converted(folder / ENTRY, artifact.io, _operators(folder / ENTRY, tensors), found["difference"], found)


def float_file(model: Model) -> Path:
    """Of a model that is a ``.tflite``: a file that quantizers can work on, with the same values; itself where it is one."""
    from edgekit.cache import get_or_build
    from edgekit.model import check_unchanged

    from .convert_given import plain

    if model.quantized or model.fingerprint in _as_they_are:
        return model.path

    def write(out: Path) -> Artifact:
        made = plain(model.path)
        (out / ENTRY).write_bytes(made if made is not None else model.path.read_bytes())
        check_unchanged(model)
        return Artifact({ENTRY: sha256_file(out / ENTRY)}, ENTRY, (), provenance={"is_rewritten": made is not None})

    code = sha256_file(Path(__file__).with_name("convert_given.py"))
    artifact, folder, _ = get_or_build({"format": "edgekit-tflite-given/1", "code": code, "model": model.fingerprint}, write)
    if not artifact.provenance["is_rewritten"]:
        _as_they_are.add(model.fingerprint)
        return model.path
    return folder / ENTRY


def _as_it_is(model: Model) -> Converted:
    path = float_file(model)
    graph = tflite_graph.read(path)
    io = (
        *(TensorMap("input", spec, spec) for spec in model.inputs),
        *(TensorMap("output", spec, spec) for spec in model.outputs),
    )
    operators = {operator.outputs[0]: (index,) for index, operator in enumerate(graph.operators) if operator.outputs}
    return Converted(path, io, operators, 0.0, {"converter": None})


def _convert(model: Model, feeds: Sequence[Mapping[str, JSON]], out: Path) -> Artifact:
    from edgekit.frontends import onnx_frontend
    from edgekit.frontends.graph import node_id
    from edgekit.toolchain import get_toolchain
    from edgekit.toolchain_locks import lock_sha256
    from edgekit.toolchain_run import run

    from .convert_parity import check

    toolchain = get_toolchain(TOOLCHAIN)
    fixed, seen = pin(onnx_frontend.read_raised(model), feeds)
    kinds = {node_id(node): node.op_type for node in fixed.graph.node}
    part_of = products_as_gemm(fixed, seen[0])
    with work_folder() as work:
        names = safe_names(fixed)
        onnx_frontend.save(rename(fixed, names), work / "model.onnx")  # the converter writes over its input: this is a copy
        what = "onnx2tf cannot convert this model to TFLite"
        run(toolchain, _WORKER, ["convert"], work=work, what=what, hint="try another target, such as onnx")
        made = work / "model_float32.tflite"
        if not made.is_file():
            raise ModelError(what, why="it wrote no float32 file")
        stored = json.loads((work / "correspondence.json").read_text())
        tensors = {node: stored[names[name]] for node in kinds if names.get(name := part_of.get(node, node)) in stored}
        _refuse_custom(made, tensors, kinds)
        io = _describe(model, fixed, tflite_graph.read(made))
        difference = check(toolchain, _WORKER, work, fixed, io, feeds, seen, tensors, kinds)
        shutil.move(made, out / ENTRY)
        (out / TENSORS).write_text(json.dumps(tensors))
    return Artifact(
        files={name: sha256_file(out / name) for name in (ENTRY, TENSORS)},
        entry=ENTRY,
        io=io,
        provenance={
            "converter": next(each for each in toolchain.packages if each.startswith(TOOLCHAIN)),
            "toolchain": lock_sha256(toolchain),
            "difference": difference,
        },
    )


def _refuse_custom(made: Path, tensors: Mapping[NodeId, str], kinds: Mapping[NodeId, str]) -> None:
    """Where TFLite has no operator, the converter writes a name of its own that no runtime knows."""
    operators = tflite_graph.read(made).operators
    unknown = {name for operator in operators if operator.kind == "CUSTOM" for name in operator.outputs}
    if unknown:
        named = sorted({kinds[node] for node, tensor in tensors.items() if tensor in unknown})
        raise ModelError(
            f"TFLite has no operator for some of this model: {', '.join(named) or 'unknown ones'}",
            why="what the converter writes in their place runs nowhere",
            hint="export the model without them, or use another target, such as onnx",
        )


def _describe(model: Model, fixed: onnx.ModelProto, made: tflite_graph.Graph) -> tuple[TensorMap, ...]:
    """The inputs and outputs beside those of the file, by position, and with the axes as they were found."""
    maps = []
    for role, originals, entries, found in (
        ("input", model.inputs, fixed.graph.input, made.inputs),
        ("output", model.outputs, fixed.graph.output, made.outputs),
    ):
        shapes = {entry.name: tuple(size.dim_value for size in entry.type.tensor_type.shape.dim) for entry in entries}
        if len(found) != len(shapes):
            kind = f"{role}s" if len(shapes) != 1 else role
            raise ModelError(
                f"the conversion changed the {role}s of this model",
                why=f"it has {len(shapes)} {kind} ({', '.join(shapes)}), the .tflite file {len(found)} ({', '.join(found)})",
                hint="remove what does nothing from the model, or use another target",
            )
        by_name = {spec.name: spec for spec in originals}
        for (name, shape), (stored, tensor) in zip(shapes.items(), found.items(), strict=True):
            permutation = _permutation(shape, tensor.shape, name)
            maps.append(
                TensorMap(
                    "input" if role == "input" else "output",
                    TensorSpec(name, by_name[name].dtype, shape),
                    TensorSpec(stored, tensor.dtype, tensor.shape),
                    permutation,
                )
            )
    return tuple(maps)


def _permutation(shape: tuple[int, ...], stored: tuple[int, ...], name: str) -> tuple[int, ...] | None:
    """The axes of ``shape`` in the order in which ``stored`` has them; None where it is the same."""
    rank = len(shape)
    if shape == stored:
        return None
    channels_last = (0, *range(2, rank), 1)
    if rank > 2 and tuple(shape[axis] for axis in channels_last) == stored:
        return channels_last
    raise ModelError(
        "the conversion changed the shape of a tensor",
        why=f"{name!r} is {list(shape)} in the model and {list(stored)} in the .tflite file",
        hint="use another target",
    )


def _operators(path: Path, tensors: Mapping[NodeId, str]) -> dict[NodeId, tuple[int, ...]]:
    """For each node the operators between its tensor and those of other nodes: what it was lowered to."""
    operators = tflite_graph.read(path).operators
    producer = {name: index for index, operator in enumerate(operators) for name in operator.outputs}
    claimed = set(tensors.values())
    found = {}
    for node, tensor in tensors.items():
        members: set[int] = set()
        pending = [tensor]
        while pending:
            index = producer.get(pending.pop())
            if index is not None and index not in members:
                members.add(index)
                pending += [name for name in operators[index].inputs if name not in claimed]
        if members:
            found[node] = tuple(sorted(members))
    return found
