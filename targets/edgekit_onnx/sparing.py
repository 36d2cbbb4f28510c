"""What a candidate quantizes in ONNX Runtime, for the search that keeps some operators in float."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from edgekit.quantize.types import Placement, Quantizable, Sparable
from edgekit.schemes import Int8Dynamic, Int8Static

from .limits import limits
from .placements import placement_of

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model
    from edgekit.types import Candidate, Site


_AXES = {"Conv": 0, "MatMul": 1, "Gemm": 1}


def sparable(model: Model, candidate: Candidate, site: Site, *, dynamic_operators: Collection[str]) -> Sparable | None:
    """The operators that ``candidate`` quantizes; None where there is nothing to choose.

    Recurrent layers are not among them: they cannot be simulated. One scale a tensor (the default recipe that everybody runs) is
    there to be compared with, not to be improved. A bias that is corrected is taken for float.

    Args:
        dynamic_operators: types whose activations take their range from each value.
    """
    from edgekit.quantize.passes import PASSES, rewritten
    from edgekit.quantize.placement import calibrated_tensors, plan_placement
    from edgekit.quantize.ranges import METHODS

    scheme = candidate.scheme
    if not (isinstance(scheme, Int8Static) or scheme == Int8Dynamic()):
        return None
    asked = str(candidate.build_options.get("passes", "")).split(",")
    rewrites = tuple(name for name in PASSES if name in asked)
    graph = rewritten(model, rewrites).graph
    placement = placement_of(candidate, site)
    items = _dynamic(graph, candidate, site, dynamic_operators)
    calibrated: list[str] = []
    if isinstance(scheme, Int8Static):
        kept = candidate.keep_float | {item.node for item in items}
        items += [Quantizable(operator) for operator in plan_placement(graph, placement, keep_float=kept)]
        calibrated = calibrated_tensors(graph)
    order = {name: index for index, node in enumerate(graph.node) for name in node.output}
    items.sort(key=lambda item: order[item.node])
    methods = METHODS if calibrated else ()
    return Sparable(placement, tuple(items), tuple(calibrated), methods, rewrites=rewrites) if items else None


def _dynamic(graph: onnx.GraphProto, candidate: Candidate, site: Site, operators: Collection[str]) -> list[Quantizable]:
    """What ``quantize_dynamic`` takes of these types, with one weight scale a channel."""
    from edgekit.quantize.placement import plan_placement

    axes = {name: axis for name, axis in _AXES.items() if name in operators}
    placement = Placement("dynamic", axes, quantize_outputs=False, bias="float", weight_bits=limits(site).weight_bits)
    plan = plan_placement(graph, placement, keep_float=candidate.keep_float) if axes else []
    return [Quantizable(operator, dynamic=True) for operator in plan]
