"""A float model in which every operator can be switched to its quantized form, one by one, without building anything anew.

Each operator that a placement would quantize reads its inputs and weights, and puts out its result, through a choice between the
float value and its rounded form. The choices are graph inputs, so that one session answers what any set of low-precision operators
does to the outputs: the arithmetic of the artifact, but for the order of additions and the rounding of integer biases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..frontends.graph import node_id
from ..types import Array, Feed, NodeId
from .rounding import RoundingWriter
from .sessions import open_session, run_session
from .types import Placement, Quantizable, Range

if TYPE_CHECKING:
    import onnx


class SwitchedModel:
    """Runs a model with any set of its operators quantized.

    Args:
        model: the normalised ONNX in float, weights loaded; it is not changed.
        items: what can be quantized, in graph order.
        placement: how (types, symmetry, weight bits).
        ranges: of every activation that an item which is not dynamic reads or writes.
        threads: of ONNX Runtime.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        items: Sequence[Quantizable],
        placement: Placement,
        ranges: Mapping[str, Range],
        *,
        threads: int = 2,
    ) -> None:
        self.nodes = tuple(item.node for item in items)
        writer = _Writer(model, items, placement, ranges)
        self._switches = writer.switches
        self._session = open_session(writer.write(), threads=threads)
        self._inputs = {value.name for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, feed: Feed, quantized: Collection[NodeId]) -> dict[str, Array]:
        """The outputs with the operators ``quantized`` in low precision and all others in float.

        Raises:
            ModelError: ONNX Runtime fails on it.
        """
        values: dict[str, Any] = {name: array for name, array in feed.items() if name in self._inputs}
        values |= {name: np.asarray(node in quantized) for node, name in self._switches.items()}
        return dict(zip(self._outputs, run_session(self._session, self._outputs, values), strict=True))


class _Writer(RoundingWriter):
    def __init__(
        self, model: onnx.ModelProto, items: Sequence[Quantizable], placement: Placement, ranges: Mapping[str, Range]
    ) -> None:
        super().__init__(model, placement, ranges)
        self.items = {item.node: item for item in items}
        self.switches: dict[NodeId, str] = {}
        for item in items:
            name = self.fresh(f"edgekit_switch_{len(self.switches)}")
            self.switches[item.node] = name
            self.model.graph.input.append(self.onnx.helper.make_tensor_value_info(name, self.onnx.TensorProto.BOOL, []))
        self.writers = {item.rounded_output: item.node for item in items if item.rounded_output is not None}

    def write(self) -> onnx.ModelProto:
        for node in self.model.graph.node:
            item = self.items.get(node_id(node))
            if item is not None:
                for index, rounded in self.rounded_inputs(item, node).items():
                    exact = node.input[index]
                    node.input[index] = self._choice(item.node, rounded, exact, self.fresh(f"{exact}_chosen"))
            outputs = [(index, name) for index, name in enumerate(node.output) if name in self.writers]
            self.nodes.append(node)
            for index, name in outputs:  # whatever reads it, reads the choice
                raw = self.fresh(f"{name}_float")
                node.output[index] = raw
                self._choice(self.writers[name], self.round_to(raw, self.ranges[name]), raw, name)
        return self.finish()

    def _choice(self, node: NodeId, rounded: str, exact: str, output: str) -> str:
        return self.emit("Where", [self.switches[node], rounded, exact], output)
