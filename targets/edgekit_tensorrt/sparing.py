"""What int8 quantizes on TensorRT, for the search that keeps some operators in float; and a profile brought back to NodeIds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.schemes import Int8Static
from edgekit.types import JSON, NodeId

from .limits import Limits

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model
    from edgekit.quantize.types import Sparable
    from edgekit.types import Candidate


def sparable(model: Model, candidate: Candidate, limits: Limits) -> Sparable | None:
    """The operators that ``candidate`` quantizes; None where there is nothing to choose.

    What int8+fp16 leaves in float16 is taken for float: that costs next to nothing beside int8. So is a bias that is corrected.
    """
    from edgekit.quantize.passes import rewritten
    from edgekit.quantize.placement import calibrated_tensors, plan_placement, planned_tensors
    from edgekit.quantize.ranges import METHODS
    from edgekit.quantize.types import Quantizable, Sparable

    from .make import METHOD_OPTION, QUANTIZED, SPARED_AS_HALF, range_method, rewrites_of
    from .placement import narrow_nodes, placement_for

    if candidate.scheme.slug not in QUANTIZED or model.quantized:
        return None
    rewrites = rewrites_of(candidate)
    proto = rewritten(model, rewrites)
    kept = candidate.keep_float | set(narrow_nodes(proto))
    placement = placement_for(limits)
    plan = plan_placement(proto.graph, placement, keep_float=kept)
    return Sparable(
        placement,
        tuple(Quantizable(operator) for operator in plan),
        tuple(dict.fromkeys((*calibrated_tensors(proto.graph), *planned_tensors(plan)))),
        METHODS,
        range_method=range_method(candidate),
        method_option=METHOD_OPTION,
        spared_options={} if isinstance(candidate.scheme, Int8Static) else SPARED_AS_HALF,
        rewrites=rewrites,
    )


def node_seconds(layers: JSON, graph: onnx.GraphProto) -> dict[NodeId, float]:
    """Seconds an inference and operator, from rows ``{name, time_s, n}`` of TensorRT's profile; all else is under ``""``.

    A layer's name lists the nodes that were fused into it; its time is shared out evenly among those that are the model's own.
    Empty where no layer names one.
    """
    from edgekit.quantize import graphs

    known = {graphs.node_id(node) for node in graph.node}
    found: dict[NodeId, float] = {}
    for row in layers or []:
        parts = [part for part in re.split(r"[+,|\s{}\[\]()]+", str(row.get("name", ""))) if part in known]
        each_s = float(row.get("time_s", 0.0)) / max(1, int(row.get("n", 1))) / max(1, len(parts))
        for part in parts or [""]:
            found[part] = found.get(part, 0.0) + each_s
    return found if set(found) - {""} else {}
