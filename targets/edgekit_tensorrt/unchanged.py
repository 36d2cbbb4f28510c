"""The model as it came, in the form that is handed to TensorRT."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .limits import Limits

if TYPE_CHECKING:
    import onnx

    from edgekit.model import Model


def unchanged(model: Model, limits: Limits) -> tuple[onnx.ModelProto, Counter[str]]:
    """``model`` with every node named by its NodeId, at its own opset or at what the device reads; and how Q/DQ of its own was
    completed (see ``given``).

    Raises:
        ModelError: the device's TensorRT does not read its opset, and it cannot be lowered.
    """
    from edgekit.frontends import onnx_frontend
    from edgekit.quantize import graphs

    from .given import complete
    from .opsets import fit

    made = onnx_frontend.read_clean(model)
    for node in made.graph.node:
        node.name = graphs.node_id(node)
    fit(made, limits)
    return made, complete(made) if model.quantized == "Q/DQ" else Counter()
