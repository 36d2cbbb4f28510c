"""The ONNX of a candidate: which precision each operator has is said in its graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from edgekit.errors import ModelError
from edgekit.schemes import AsIs, Float16, Float32, Int8Static

from .limits import Limits

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model
    from edgekit.quantize.types import RangeMethod
    from edgekit.types import BuildData, Candidate, NodeId

#: Passes that a build option ``passes`` may name, in the order in which they are done.
PASSES = ("batch-norm", "equalize", "bias")
REWRITES = PASSES[:2]  # of the float model, before its ranges are looked at
QUANTIZED = ("int8", "int8+fp16")
SPARED_OPTION = "spared"  # of int8+fp16: in which precision the search leaves what it spares
SPARED_AS_HALF = {SPARED_OPTION: "float16"}
METHOD_OPTION = "range_method"
_FEEDS_FOR_BIAS = 64  # means settle long before ranges do


@dataclass
class Made:
    """A model under construction, and what was done to it: nodes by type.

    ``narrow``: {NodeId: why it stayed in float}; ``spared``: what would be int8 and becomes float16, by the option ``spared``;
    all else in ``keep_float`` stays in float32.
    """

    proto: onnx.ModelProto
    quantized: Counter[str] = field(default_factory=Counter)
    halved: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    narrow: Mapping[NodeId, str] = field(default_factory=dict)
    spared: frozenset[NodeId] = frozenset()


def make(model: Model, candidate: Candidate, data: BuildData | None, limits: Limits) -> Made:
    """Build the graph of ``candidate`` in memory.

    Raises:
        ModelError: ``keep_float`` names what is not there, or static int8 has no calibration data.
        DataError: a calibration feed is broken.
    """
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize import graphs
    from edgekit.quantize.passes import rewritten

    from .opsets import fit
    from .unchanged import unchanged

    scheme, slug = candidate.scheme, candidate.scheme.slug
    if candidate.keep_float:
        graphs.require_known(onnx_frontend.read_raised(model).graph, candidate.keep_float)
    if isinstance(scheme, (AsIs, Float32)):
        return Made(*_unchanged(unchanged(model, limits)))
    if model.quantized:
        made = Made(*_unchanged(unchanged(model, limits)))
    else:
        made = Made(rewritten(model, rewrites_of(candidate) if slug in QUANTIZED else ()))
        for node in made.proto.graph.node:
            node.name = graphs.node_id(node)
        fit(made.proto, limits)
    if slug in QUANTIZED and not model.quantized:
        _quantize(made, model, candidate, data, limits)
    if isinstance(scheme, Float16) or slug == "int8+fp16":
        _halve(made, candidate.keep_float - made.spared, limits)
    return made


def _unchanged(found: tuple[onnx.ModelProto, Counter[str]]) -> tuple[onnx.ModelProto, Counter[str], Counter[str], Counter[str]]:
    return found[0], Counter(), Counter(), found[1]


def _halve(made: Made, keep_float: Collection[NodeId], limits: Limits) -> None:
    """Scales become float16 where the release reads the opset for it and the model can be raised to that."""
    from .half import HALF_SCALES_SINCE, to_half
    from .opsets import raised

    if made.quantized and limits.release is not None and limits.max_opset >= HALF_SCALES_SINCE:
        made.proto = raised(made.proto, HALF_SCALES_SINCE) or made.proto
    made.halved = to_half(made.proto, keep_float=keep_float)


def _quantize(made: Made, model: Model, candidate: Candidate, data: BuildData | None, limits: Limits) -> None:
    from edgekit.quantize.bias_correction import correct_biases
    from edgekit.quantize.emitter import emit_qdq
    from edgekit.quantize.placement import calibrated_tensors, plan_placement, planned_tensors
    from edgekit.quantize.range_cache import statistics_for
    from edgekit.quantize.ranges import ranges_for

    from .placement import narrow_nodes, placement_for

    if data is None:
        raise ModelError("static int8 needs calibration data", hint="give some with --calib")
    placement, proto = placement_for(limits), made.proto
    made.narrow = narrow_nodes(proto)
    if SPARED_AS_HALF.items() <= candidate.build_options.items():
        quantizable = plan_placement(proto.graph, placement, keep_float=_kept(proto, made.narrow))
        made.spared = candidate.keep_float & {operator.node for operator in quantizable}
    kept = _kept(proto, candidate.keep_float, made.narrow)
    plan = plan_placement(proto.graph, placement, keep_float=kept)
    if not plan:
        return
    tensors = list(dict.fromkeys((*calibrated_tensors(proto.graph), *planned_tensors(plan))))
    statistics = statistics_for(model, data, tensors, rewrites=rewrites_of(candidate))
    ranges = ranges_for(statistics.tensors, planned_tensors(plan), placement, range_method(candidate))
    if "bias" in passes_of(candidate) and correct_biases(proto, plan, placement, ranges, islice(data.fit, _FEEDS_FOR_BIAS)):
        plan = plan_placement(proto.graph, placement, keep_float=kept)
    made.quantized = emit_qdq(proto, plan, placement, ranges)


def _kept(proto: onnx.ModelProto, *names: Collection[NodeId]) -> set[NodeId]:
    """What stays in float and is still there: a pass may have made one node of two."""
    from edgekit.quantize import graphs

    there = {graphs.node_id(node) for node in proto.graph.node}
    return set().union(*names) & there


def range_method(candidate: Candidate) -> RangeMethod:
    """By the build option ``range_method``; without it that of the scheme, which int8+fp16 says nothing of."""
    usual = candidate.scheme.range_method if isinstance(candidate.scheme, Int8Static) else "minmax"
    return str(candidate.build_options.get(METHOD_OPTION, usual))  # type: ignore[return-value] # reject() knows the names


def passes_of(candidate: Candidate) -> tuple[str, ...]:
    text = str(candidate.build_options.get("passes", ""))
    return tuple(text.split(",")) if text else ()


def rewrites_of(candidate: Candidate) -> tuple[str, ...]:
    asked = passes_of(candidate)
    return tuple(name for name in REWRITES if name in asked)
