"""What integers compute in LiteRT, for the search that keeps some operators in float; and what each operator takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.quantize.types import Placement, Quantizable, Sparable
from edgekit.schemes import Int8Dynamic, Int8Static

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.types import Candidate, NodeId

#: The arithmetic of the integer kernels: asymmetric activations, symmetric weights with one scale a channel, rounded outputs.
PLACEMENT = Placement(
    name="LiteRT on CPU",
    operators={"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1},
    activation_type="int8",
    residual_add="float",
    keep_depthwise_float=False,
)
_CONVOLUTIONS = ("Conv", "ConvTranspose")


def sparable(model: Model, candidate: Candidate) -> Sparable | None:
    """The operators that ``candidate`` quantizes, and how that is simulated.

    None where there is nothing to choose, or where what is quantized besides is not simulated: element-wise operators.
    """
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize.placement import calibrated_tensors, plan_placement
    from edgekit.quantize.ranges import METHODS

    scheme, options = candidate.scheme, candidate.build_options
    if model.format == "tflite" or options.get("elementwise") or not isinstance(scheme, (Int8Static, Int8Dynamic)):
        return None
    graph = onnx_frontend.read_raised(model).graph
    plan = plan_placement(graph, PLACEMENT, keep_float=candidate.keep_float)
    if isinstance(scheme, Int8Dynamic):
        plan = [each for each in plan if options.get("convolutions") or each.operator not in _CONVOLUTIONS]
        return Sparable(PLACEMENT, tuple(Quantizable(each, dynamic=True) for each in plan))
    return Sparable(PLACEMENT, tuple(Quantizable(each) for each in plan), tuple(calibrated_tensors(graph)), METHODS)


def operator_seconds(model: Model, layers: list[dict[str, Any]]) -> dict[NodeId, float]:
    """Seconds an inference by NodeId, all else under ``""``; empty where the profile names no node.

    XNNPACK's own profile names its kernels and not the tensors that they make: then nothing is known of single nodes.
    """
    from edgekit.frontends import onnx_frontend
    from edgekit.frontends.graph import node_id

    if model.format == "tflite":
        return {}
    ids = {node_id(node) for node in onnx_frontend.read_raised(model).graph.node}
    found: dict[NodeId, float] = {}
    for layer in layers:
        name = str(layer["name"]).partition(";")[0]
        node = name if name in ids else ""
        found[node] = found.get(node, 0.0) + float(layer["time_s"])  # of one inference
    return found if set(found) - {""} else {}
