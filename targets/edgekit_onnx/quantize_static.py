"""Static int8: Q/DQ by the table of the processor, with ranges from the project's own calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import islice
from typing import TYPE_CHECKING

from edgekit.errors import ModelError

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model
    from edgekit.quantize.types import Placement, RangeMethod
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

    Statistics are taken of every tensor that some table could need, so that they serve all candidates of a model; a model that
    passes have rewritten has statistics of its own.

    Raises:
        ModelError: ``keep_float`` names a node that is not there, ``passes`` a pass that is not, or an activation had no finite
            value in calibration.
        DataError: a calibration feed is broken.
    """
    from edgekit.quantize import graphs
    from edgekit.quantize.bias_correction import correct_biases
    from edgekit.quantize.emitter import emit_qdq, shared_ranges
    from edgekit.quantize.passes import PASSES as REWRITES
    from edgekit.quantize.placement import calibrated_tensors, plan_placement, planned_tensors
    from edgekit.quantize.range_cache import statistics_for
    from edgekit.quantize.ranges import ranges_for

    unknown = sorted(set(passes) - set(PASSES))
    if unknown:
        raise ModelError(f"there is no pass {unknown[0]!r}", hint=f"passes are {', '.join(PASSES)}")
    graphs.require_known(made.graph, keep_float)
    rewrites = [name for name in PASSES if name in passes and name in REWRITES]
    changed = [REWRITES[name](made) for name in rewrites]
    kept = set(keep_float) & {graphs.node_id(node) for node in made.graph.node}
    plan = plan_placement(made.graph, placement, keep_float=kept)
    if not plan:
        return Counter()
    tensors = list(dict.fromkeys((*calibrated_tensors(made.graph), *planned_tensors(plan))))
    statistics = statistics_for(model, data, tensors, rewrites=rewrites if any(changed) else ())
    ranges = shared_ranges(made.graph, plan, ranges_for(statistics.tensors, planned_tensors(plan), placement, range_method))
    if "bias" in passes and correct_biases(made, plan, placement, ranges, islice(data.fit, _FEEDS_FOR_BIAS)):
        plan = plan_placement(made.graph, placement, keep_float=kept)
    return emit_qdq(made, plan, placement, ranges)
