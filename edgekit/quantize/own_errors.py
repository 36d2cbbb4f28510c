"""The error that each operator makes by itself when it is quantized: all of them from one run a feed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..frontends.graph import node_id
from ..types import Feed, NodeId
from .rounding import RoundingWriter
from .sessions import open_session
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
    """Error energy relative to signal energy at the output of each operator, its inputs being float's, over ``feeds``.

    Every operator has a twin that reads the same values in rounded form; only two sums an operator leave the graph.
    """
    writer = _Twins(model, items, placement, ranges)
    session = open_session(writer.write(), threads=threads)
    inputs = {value.name for value in session.get_inputs()}
    names = [name for pair in writer.energies.values() for name in pair]
    sums = np.zeros(len(names))
    for feed in feeds:
        values = session.run(names, {name: array for name, array in feed.items() if name in inputs})
        sums += np.nan_to_num(np.asarray([float(value) for value in values]), nan=np.inf)
    found = {}
    for index, node in enumerate(writer.energies):
        noise, signal = sums[2 * index], sums[2 * index + 1]
        found[node] = float(noise / signal) if signal > 0 else float(noise > 0)
    return found


class _Twins(RoundingWriter):
    def __init__(
        self, model: onnx.ModelProto, items: Sequence[Quantizable], placement: Placement, ranges: Mapping[str, Range]
    ) -> None:
        super().__init__(model, placement, ranges)
        self.items = {item.node: item for item in items}
        self.energies: dict[NodeId, tuple[str, str]] = {}

    def write(self) -> onnx.ModelProto:
        absorbing = {item.operator.absorbed: item for item in self.items.values() if item.operator.absorbed}
        results: dict[NodeId, str] = {}  # of twins that wait for their activation function
        for node in self.model.graph.node:
            self.nodes.append(node)
            item = self.items.get(node_id(node))
            if item is not None:
                twin = self._copy(node, self.rounded_inputs(item, node))
                if item.operator.absorbed:
                    results[item.node] = twin
                else:
                    self._compare(item, twin, node.output[0])
            elif (of := absorbing.get(node_id(node))) is not None:
                position = list(node.input).index(self._result_of(of))
                self._compare(of, self._copy(node, {position: results[of.node]}), node.output[0])
        del self.model.graph.output[:]
        for pair in self.energies.values():
            for name in pair:
                self.model.graph.output.append(self.onnx.helper.make_tensor_value_info(name, self.onnx.TensorProto.FLOAT, []))
        return self.finish()

    def _result_of(self, item: Quantizable) -> str:
        return item.node  # a NodeId is the name of the first output

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
