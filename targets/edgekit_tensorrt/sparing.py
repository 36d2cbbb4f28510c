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
    """The operators that ``candidate`` quantizes; None where there is nothing to choose, or a pass rewrites the model first."""
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize.placement import calibrated_tensors, plan_placement
    from edgekit.quantize.ranges import METHODS
    from edgekit.quantize.types import Quantizable, Sparable

    from .make import passes_of
    from .placement import narrow_nodes, placement_for

    if not isinstance(candidate.scheme, Int8Static) or {"batch-norm", "equalize"} & set(passes_of(candidate)) or model.quantized:
        return None
    raised = onnx_frontend.read_raised(model)
    kept = candidate.keep_float | set(narrow_nodes(raised))
    placement = placement_for(limits)
    items = tuple(Quantizable(operator) for operator in plan_placement(raised.graph, placement, keep_float=kept))
    return Sparable(placement, items, tuple(calibrated_tensors(raised.graph)), METHODS) if items else None


def node_seconds(layers: JSON, graph: onnx.GraphProto) -> dict[NodeId, float]:
    """Seconds an inference and operator, from rows ``{name, time_s, n}`` of TensorRT's profile.

    A layer's name lists the nodes that were fused into it; its time is shared out evenly among those that are the model's own.
    """
    from edgekit.quantize import graphs

    known = {graphs.node_id(node) for node in graph.node}
    found: dict[NodeId, float] = {}
    for row in layers or []:
        parts = [part for part in re.split(r"[+,|\s{}\[\]()]+", str(row.get("name", ""))) if part in known]
        each_s = float(row.get("time_s", 0.0)) / max(1, int(row.get("n", 1))) / max(1, len(parts))
        for part in parts:
            found[part] = found.get(part, 0.0) + each_s
    return found
