"""What static int8 quantizes in OpenVINO, for the search that keeps some operators in float; and what each operator takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.quantize.types import Placement, Quantizable, Sparable
from edgekit.schemes import Int8Static

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.model import Model
    from edgekit.types import Candidate, NodeId

#: How NNCF's fake quantization looks to the simulation: inputs asymmetric, filters one scale a channel, outputs left to what reads
#: them. (Its "performance" preset takes symmetric activations where they are signed; the difference is below what ranks operators.)
PLACEMENT = Placement(
    name="OpenVINO on CPU",
    operators={"Conv": 0, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1},
    quantize_outputs=False,
    bias="float",
    residual_add="float",
    keep_depthwise_float=False,
)


def sparable(model: Model, candidate: Candidate) -> Sparable | None:
    """The operators that ``candidate`` quantizes; None where it is not static int8."""
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize.placement import calibrated_tensors, plan_placement

    if not isinstance(candidate.scheme, Int8Static):
        return None
    graph = onnx_frontend.read_raised(model).graph
    items = tuple(Quantizable(operator) for operator in plan_placement(graph, PLACEMENT, keep_float=candidate.keep_float))
    return Sparable(PLACEMENT, items, tuple(calibrated_tensors(graph)))


def operator_seconds(model: Model, entry: Path, layers: list[dict[str, Any]]) -> dict[NodeId, float]:
    """Seconds an inference by NodeId, of the operators that could be quantized; all else is under ``""``.

    Args:
        entry: the artifact's IR: which of its operations compute a node is read off the tensors' names.
    """
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize.placement import plan_placement

    from . import convert, nodes

    graph = onnx_frontend.read_raised(model).graph
    wanted = [operator.node for operator in plan_placement(graph, PLACEMENT)]
    owner = {name: node for node, names in nodes.operations_of(convert.read(entry), wanted, graph).items() for name in names}
    found: dict[NodeId, float] = {}
    for layer in layers:
        node = owner.get(str(layer["name"]), "")
        found[node] = found.get(node, 0.0) + float(layer["time_s"]) / max(1, int(layer["n"]))
    return found
