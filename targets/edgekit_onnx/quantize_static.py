"""Static int8: Q/DQ by the table of the processor, with ranges from the project's own calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from edgekit.errors import ModelError

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model
    from edgekit.quantize.statistics import TensorStatistics
    from edgekit.quantize.types import Placement, QuantizedOperator, Range, RangeMethod
    from edgekit.types import BuildData, NodeId


#: What a build option ``passes`` may name, in the order in which they are done.
PASSES = ("batch-norm", "equalize", "bias")
_FEEDS_FOR_BIAS = 64  # means settle long before ranges do


def quantize_static(
    made: onnx.ModelProto,
    model: Model,
    data: BuildData,
    placement: Placement,
    *,
    range_method: RangeMethod = "minmax",
    keep_float: Collection[NodeId] = (),
    passes: Collection[str] = (),
) -> Counter[str]:
    """Quantize ``made``, the normalised ONNX of ``model``, in place and count the quantized nodes by type.

    Statistics are taken of every tensor that some table could need, so that they serve all candidates of a model; a model that a
    pass has rewritten has statistics of its own, which are not kept.

    Raises:
        ModelError: ``keep_float`` names a node that is not there, ``passes`` a pass that is not, or an activation was never seen.
        DataError: a calibration feed is broken, or an activation is not finite on it.
    """
    from edgekit.quantize import graphs
    from edgekit.quantize.bias_correction import correct_biases
    from edgekit.quantize.calibration import collect
    from edgekit.quantize.emitter import emit_qdq, shared_ranges
    from edgekit.quantize.passes import PASSES as REWRITES
    from edgekit.quantize.placement import calibrated_tensors, plan_placement, planned_tensors
    from edgekit.quantize.range_cache import statistics_for

    unknown = sorted(set(passes) - set(PASSES))
    if unknown:
        raise ModelError(f"there is no pass {unknown[0]!r}", hint=f"passes are {', '.join(PASSES)}")
    graphs.require_known(made.graph, keep_float)
    rewritten = [name for name in PASSES if name in passes and name in REWRITES and REWRITES[name](made)]
    kept = set(keep_float) & {graphs.node_id(node) for node in made.graph.node}
    plan = plan_placement(made.graph, placement, keep_float=kept)
    if not plan:
        return Counter()
    tensors = list(dict.fromkeys((*calibrated_tensors(made.graph), *planned_tensors(plan))))
    statistics = collect(made, tensors, data.fit) if rewritten else statistics_for(model, data, tensors)
    ranges = shared_ranges(made.graph, plan, _ranges(statistics.tensors, plan, placement, range_method))
    if "bias" in passes and correct_biases(made, plan, placement, ranges, islice(data.fit, _FEEDS_FOR_BIAS)):
        plan = plan_placement(made.graph, placement, keep_float=kept)
    return emit_qdq(made, plan, placement, ranges)


def _ranges(
    statistics: Mapping[str, TensorStatistics], plan: Sequence[QuantizedOperator], placement: Placement, method: RangeMethod
) -> dict[str, Range]:
    from edgekit.quantize.placement import planned_tensors
    from edgekit.quantize.ranges import activation_range

    return {
        name: activation_range(statistics[name], method, dtype=placement.activation_type, symmetric=placement.activation_symmetric)
        for name in planned_tensors(plan)
        if name in statistics
    }
