"""The error that each operator makes by itself when it is quantized: all of them from one run a feed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..frontends.graph import node_id
from ..types import Feed, NodeId
from .rounding import RoundingWriter
from .sessions import open_session, run_session
from .types import Placement, Quantizable, Range

if TYPE_CHECKING:
    import onnx


def own_errors(
    model: onnx.ModelProto,
    items: Sequence[Quantizable],
    placement: Placement,
    ranges: Mapping[str, Range],
    feeds: Iterable[Feed],
    *,
    threads: int = 2,
) -> dict[NodeId, float]:
    """Error energy relative to signal energy at the output of each operator, its inputs being float's, over ``feeds``; infinite
    where it is no finite number.

    Every operator has a twin that reads the same values in rounded form; only two sums an operator leave the graph.

    Raises:
        ModelError: ONNX Runtime does not load the model with the twins, or fails on it.
    """
    writer = _Twins(model, items, placement, ranges)
    session = open_session(writer.write(), threads=threads)
    inputs = {value.name for value in session.get_inputs()}
    names = [name for pair in writer.energies.values() for name in pair]
    sums = np.zeros(len(names))
    for feed in feeds:
        values = run_session(session, names, {name: array for name, array in feed.items() if name in inputs})
        sums += np.asarray([float(value) for value in values])
    found = {}
    for index, node in enumerate(writer.energies):
        noise, signal = sums[2 * index], sums[2 * index + 1]
        if not np.isfinite(noise):
            found[node] = np.inf
        else:
            found[node] = float(noise / signal) if signal > 0 else float(noise > 0)
    return found


def _parts(item: Quantizable) -> list[NodeId]:
    """The nodes that one operator is made of, in order: itself, the addition of its bias, the activation function."""
    operator = item.operator
    return [part for part in (operator.node, operator.bias_add, operator.absorbed) if part is not None]


class _Twins(RoundingWriter):
    def __init__(
        self, model: onnx.ModelProto, items: Sequence[Quantizable], placement: Placement, ranges: Mapping[str, Range]
    ) -> None:
        super().__init__(model, placement, ranges)
        self.items = {item.node: item for item in items}
        self.energies: dict[NodeId, tuple[str, str]] = {}

    def write(self) -> onnx.ModelProto:
        parts = {part: item for item in self.items.values() for part in _parts(item)}
        waiting: dict[NodeId, tuple[str, str]] = {}  # by operator not over yet: what it puts out so far, and its twin
        for node in self.model.graph.node:
            self.nodes.append(node)
            name = node_id(node)
            item = parts.get(name)
            if item is None:
                continue
            if name == item.node:
                twin = self._copy(node, self.rounded_inputs(item, node))
            else:
                exact, twin = waiting[item.node]
                twin = self._copy(node, {list(node.input).index(exact): twin})
            if name == _parts(item)[-1]:
                self._compare(item, twin, node.output[0])
            else:
                waiting[item.node] = (node.output[0], twin)
        del self.model.graph.output[:]
        for pair in self.energies.values():
            for name in pair:
                self.model.graph.output.append(self.onnx.helper.make_tensor_value_info(name, self.onnx.TensorProto.FLOAT, []))
        return self.finish()

    def _copy(self, node: onnx.NodeProto, inputs: Mapping[int, str]) -> str:
        twin = self.onnx.NodeProto()
        twin.CopyFrom(node)
        for index, name in inputs.items():
            twin.input[index] = name
        twin.name = self.fresh(f"{node.output[0]}_twin")
        twin.output[:] = [twin.name, *(self.fresh(f"{name}_unused") for name in node.output[1:])]
        self.nodes.append(twin)
        return str(twin.name)

    def _compare(self, item: Quantizable, twin: str, exact: str) -> None:
        rounded = item.rounded_output
        if rounded is not None:
            twin = self.round_to(twin, self.ranges[rounded])
        difference = self.emit("Sub", [twin, exact], self.fresh(f"{exact}_difference"))
        self.energies[item.node] = (self._energy(difference), self._energy(exact))

    def _energy(self, name: str) -> str:
        output = self.fresh(f"{name}_energy")
        self.nodes.append(self.onnx.helper.make_node("ReduceSumSquare", [name], [output], name=output, keepdims=0))
        return output
