"""The model as it came, in the form that is handed to TensorRT."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model


def unchanged(model: Model) -> tuple[onnx.ModelProto, Counter[str]]:
    """``model`` at its own opset with every node named by its NodeId; and how Q/DQ of its own was completed (see ``given``)."""
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize import graphs

    from .given import complete

    made = onnx_frontend.read_clean(model)
    for node in made.graph.node:
        node.name = graphs.node_id(node)
    return made, complete(made) if model.quantized == "Q/DQ" else Counter()
