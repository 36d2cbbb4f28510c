"""Whether a conversion says what the model says: LiteRT in the toolchain beside ONNX Runtime, and where they part."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.contract import to_artifact
from edgekit.errors import ModelError
from edgekit.frontends.torch_parity import relative_difference
from edgekit.types import Array, Feed, NodeId, TensorMap

if TYPE_CHECKING:
    import onnx

    from edgekit.toolchain import Toolchain

#: The largest difference that is allowed, as a fraction of the output's largest magnitude. Right conversions stay below 4e-5.
TOLERANCE = 5e-4
#: What counts as the beginning of a difference: kernels add in another order, and that grows on its way to the output.
_FIRST_OVER = 1e-3


def check(
    toolchain: Toolchain,
    worker: Path,
    work: Path,
    fixed: onnx.ModelProto,
    io: Sequence[TensorMap],
    feeds: Sequence[Feed],
    seen: Sequence[Mapping[str, Array]],
    tensors: Mapping[NodeId, str],
    kinds: Mapping[NodeId, str],
) -> float:
    """Run the conversion that lies in ``work`` on ``feeds``.

    Args:
        seen: what ONNX Runtime gave for each feed, for every tensor.
        tensors: {NodeId: the tensor of the conversion that holds its value}.
        kinds: {NodeId: type of operator}, in the order of the model.

    Returns:
        The largest difference, as a fraction of the output's largest magnitude.

    Raises:
        ModelError: it is above the tolerance; names the first tensor that differs and the operator that makes it.
    """
    from edgekit.toolchain_run import run

    (work / "feeds").mkdir()
    names = [m.artifact.name for m in io if m.role == "input"]
    for index, feed in enumerate(feeds):
        stored = to_artifact(feed, io)
        np.savez(work / "feeds" / f"{index}.npz", **{str(position): stored[name] for position, name in enumerate(names)})  # type: ignore[arg-type]
    run(toolchain, worker, ["run"], work=work, what="LiteRT cannot run what was converted", hint="try another target, such as onnx")
    worst, where = 0.0, ""
    bounded = _bounded_by_one(fixed)
    outputs = [m for m in io if m.role == "output"]
    for index, wanted in enumerate(seen):
        with np.load(work / "outputs" / f"{index}.npz", allow_pickle=False) as found:
            for position, m in enumerate(outputs):
                array = found[str(position)]
                if m.permutation is not None:
                    array = array.transpose(np.argsort(m.permutation))
                name = m.original.name
                difference = _difference(array, wanted[name], least_peak=1.0 if name in bounded else 0.0)
                if difference > worst:
                    worst, where = difference, name
    if worst <= TOLERANCE:
        return worst
    first = _first_difference(toolchain, worker, work, seen[0], tensors, kinds)
    raise ModelError(
        "the conversion to TFLite does not say what the model says",
        why=f"output {where!r} differs by {worst:.2g} of its largest value; {first}",
        hint="use another target, or export the model without that operator",
    )


def _first_difference(
    toolchain: Toolchain,
    worker: Path,
    work: Path,
    seen: Mapping[str, Array],
    tensors: Mapping[NodeId, str],
    kinds: Mapping[NodeId, str],
) -> str:
    """Says which tensor differs first, in the order of the model."""
    from edgekit.toolchain_run import run

    made = {tensor: position for position, tensor in enumerate(dict.fromkeys(tensors.values()))}
    (work / "inner.json").write_text(json.dumps([*made]))
    run(toolchain, worker, ["run", "inner.json"], work=work, what="LiteRT cannot run what was converted tensor by tensor")
    with np.load(work / "inner.npz", allow_pickle=False) as values:
        found = {tensor: values[str(position)] for tensor, position in made.items() if str(position) in values.files}
    for name, operator in kinds.items():
        if tensors.get(name) not in found:
            continue
        # Nodes that became one operator share a tensor, which holds the value of one of them.
        sharing = [other for other, tensor in tensors.items() if tensor == tensors[name]]
        compared = [_difference_in_any_layout(found[tensors[name]], np.asarray(seen[other])) for other in sharing]
        difference = min((each for each in compared if each is not None), default=0.0)
        if difference > _FIRST_OVER:
            return f"the first tensor that differs is {name!r}, which {operator} makes: by {difference:.2g} of its largest value"
    return "with LiteRT's plain kernels every inner tensor is equal"


def _difference_in_any_layout(found: Array, wanted: Array) -> float | None:
    """The smallest difference over the orders of axes that give ``wanted``'s shape; None where none does."""
    if found.size != wanted.size:
        return None
    if found.ndim != wanted.ndim or found.ndim > 5:
        return _difference(found.reshape(wanted.shape), wanted) if found.ndim <= 1 or wanted.ndim <= 1 else None
    orders = [order for order in itertools.permutations(range(found.ndim)) if found.transpose(order).shape == wanted.shape]
    return min((_difference(found.transpose(order), wanted) for order in orders), default=None)


def _difference(found: Array, wanted: Array, *, least_peak: float = 0.0) -> float:
    """The largest, as a fraction of ``wanted``'s largest magnitude (at least ``least_peak``); of integers, how many differ."""
    if found.shape != wanted.shape:
        return float("inf")
    if wanted.dtype.kind != "f":
        return float(np.mean(found != wanted)) if found.size else 0.0
    difference = relative_difference(found, wanted)
    if 0 < difference < float("inf") and least_peak:
        peak = float(np.abs(wanted[np.isfinite(wanted)]).max())
        difference *= max(peak, 1e-6) / max(peak, least_peak)
    return difference


def _bounded_by_one(proto: onnx.ModelProto) -> set[str]:
    """Outputs that are probabilities by construction: of a map of nothing at all the largest value says nothing."""
    makers = {name: node for node in proto.graph.node for name in node.output}
    found = set()
    for output in proto.graph.output:
        node = makers.get(output.name)
        while node is not None and node.op_type in ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Flatten", "Slice"):
            node = makers.get(node.input[0])
        if node is not None and node.op_type in ("Sigmoid", "HardSigmoid", "Softmax", "Tanh"):
            found.add(output.name)
    return found
