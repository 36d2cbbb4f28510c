"""From a float ``.tflite`` to the one that a candidate asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.contract import to_artifact
from edgekit.errors import ModelError
from edgekit.schemes import Float16, Int8Dynamic, Int8Static, WeightOnly

from . import graph as tflite
from . import placement, vendor
from . import quantize as quantizer
from .calibration import ranges_of, tensors_of
from .options import read_options

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.types import JSON, BuildData, Candidate, TensorMap

MIN_MAX, OCTAV, FLOAT_CASTING = "min_max_uniform_quantize", "OCTAV", "float_casting"
WITH_WEIGHTS = (*placement.KERNELS, "BATCH_MATMUL")
#: Half precision has no rule for products of two activations' kind.
IN_HALF_PRECISION = placement.KERNELS


@dataclass(frozen=True)
class Recipe:
    """``entries`` for the quantizer; ``calibrated``: the tensors whose ranges they need."""

    entries: list[dict[str, JSON]]
    calibrated: tuple[str, ...] = ()


def write(
    path: Path, out: Path, candidate: Candidate, data: BuildData | None, io: Sequence[TensorMap], kept: Collection[int]
) -> None:
    """Write ``path``, a float model, in the candidate's scheme to ``out``.

    Args:
        data: feeds for ``path``'s shape.
        kept: operators that stay in float, by position.

    Raises:
        ModelError: nothing can be quantized, or the quantizer fails.
    """
    recipe = recipe_of(tflite.read(path), candidate, kept)
    ranges = {}
    if recipe.calibrated:
        if data is None:
            raise ModelError("static int8 needs calibration data", hint="give some with --calib")
        method = candidate.scheme.range_method if isinstance(candidate.scheme, Int8Static) else "minmax"
        ranges = ranges_of(path, io, data, recipe.calibrated, method)
    quantizer.quantize(path, out, recipe.entries, ranges)


def recipe_of(graph: tflite.Graph, candidate: Candidate, kept: Collection[int]) -> Recipe:
    """What the quantizer is told; no entries where everything stays as it is."""
    scheme, chosen = candidate.scheme, read_options(candidate)
    weights = OCTAV if chosen.get("weight_scales") == "octav" else MIN_MAX
    if isinstance(scheme, Int8Static):
        if chosen["last_layers"] == "float":
            kept = frozenset(kept) | placement.last_kernels(graph)
        return _static(graph, kept, weights, elementwise=chosen["elementwise"], in_int8=chosen["interface"] == "int8")
    if isinstance(scheme, Int8Dynamic):
        kinds = (*placement.PRODUCTS, *(("CONV_2D",) if chosen["convolutions"] else ()))
        operators = placement.weighted_operators(graph, kinds, kept)
        return Recipe(quantizer.recipe(graph, operators, lambda kind: quantizer.dynamic_config(8, kind), weights))
    if isinstance(scheme, WeightOnly) and scheme.bits == 4:
        return Recipe(_blocks(graph, kept, scheme.block_size))
    if isinstance(scheme, WeightOnly):
        operators = placement.weighted_operators(graph, WITH_WEIGHTS, kept)
        return Recipe(quantizer.recipe(graph, operators, lambda kind: quantizer.weight_only_config(8, kind), MIN_MAX))
    if isinstance(scheme, Float16):
        operators = placement.weighted_operators(graph, IN_HALF_PRECISION, kept)
        return Recipe(quantizer.recipe(graph, operators, quantizer.float16_config, FLOAT_CASTING))
    return Recipe([])


def _static(graph: tflite.Graph, kept: Collection[int], weights: str, *, elementwise: bool, in_int8: bool) -> Recipe:
    operators = placement.static_operators(graph, kept, elementwise=elementwise)
    kernels = [index for index in operators if placement.has_weights(graph, graph.operators[index])]
    others = [index for index in operators if index not in set(kernels)]
    entries = quantizer.recipe(graph, kernels, quantizer.static_config, weights)
    entries += quantizer.recipe(graph, others, quantizer.static_config, MIN_MAX)
    calibrated = tensors_of(graph, operators)
    if in_int8 and operators:
        entries += quantizer.integer_interface()
        ends = [tensor.name for tensor in (*graph.inputs.values(), *graph.outputs.values()) if tensor.dtype == "float32"]
        calibrated = list(dict.fromkeys([*calibrated, *ends]))
    return Recipe(entries, tuple(calibrated))


def _blocks(graph: tflite.Graph, kept: Collection[int], block_size: int) -> list[dict[str, JSON]]:
    """4 bits in blocks along the inputs where a product's size is a multiple of the block, 8 bits in all other weights."""
    blocked: list[int] = []
    others: list[int] = []
    for index in placement.weighted_operators(graph, WITH_WEIGHTS, kept):
        operator = graph.operators[index]
        shapes = [graph.tensors[name].shape for name in operator.constants if len(graph.tensors[name].shape) == 2]
        fits = operator.kind == "FULLY_CONNECTED" and len(shapes) == 1 and shapes[0][1] % (block_size or 1) == 0
        (blocked if fits else others).append(index)
    entries = quantizer.recipe(graph, blocked, lambda kind: quantizer.dynamic_config(4, kind, block_size), MIN_MAX)
    return entries + quantizer.recipe(graph, others, lambda kind: quantizer.weight_only_config(8, kind), MIN_MAX)


def described(io: Sequence[TensorMap], graph: tflite.Graph) -> tuple[TensorMap, ...]:
    """``io`` as the file that was written has it: inputs and outputs may be stored in int8. Where the model itself takes or gives
    integers, callers do as well, and nothing is translated.
    """
    found = []
    for tensor in io:
        made = (graph.inputs if tensor.role == "input" else graph.outputs)[tensor.artifact.name]
        stored = replace(tensor.artifact, dtype=made.dtype, shape=made.shape)
        is_translated = made.dtype != tensor.original.dtype
        scale, zero_point = (made.scale, made.zero_point) if is_translated else (None, None)
        found.append(replace(tensor, artifact=stored, scale=scale, zero_point=zero_point))
    return tuple(found)


def check(path: Path, io: Sequence[TensorMap], data: BuildData | None) -> None:
    """Run what was written once, so that a file that does not run never leaves the build.

    Raises:
        ModelError: with what the runtime says.
    """
    import numpy as np

    found: Any = vendor.interpreter(path)
    graph = tflite.read(path)
    feed: dict[str, Any] = {
        tensor.artifact.name: np.zeros(tensor.artifact.shape, tensor.artifact.dtype) for tensor in io if tensor.role == "input"
    }
    if data is not None:
        feed = to_artifact(next(iter(data.fit)), io)
    by_name = {details["name"]: details["index"] for details in found.get_input_details()}
    with vendor.quiet(native=True), vendor.as_model_errors("the model that was built does not run"):
        for name, tensor in graph.inputs.items():
            found.set_tensor(by_name[tensor.name], feed[name])
        found.invoke()
