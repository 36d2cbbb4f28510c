"""Which inputs of a residual addition are quantized where that goes by what makes them (``residual_add="by maker"``).

- An addition that becomes part of the convolution at the end of one branch: the other branch, the shortcut. That is so, too, where
  what is behind the convolution (moved, with a constant added) is read by others as well: the patches of a vision transformer.
- Any other: what an integer kernel puts out, with the element-wise operators that become part of it, or an operator of
  ``rounded_before_add``, perhaps moved about on the way; then also what integer kernels read anyway, as its integers are there.
- One of attention scores, in front of a Softmax, is part of the attention's kernel: none.

Convolutions are fused with additions, matrix products are not. Source: NVIDIA TensorRT, "Working with Quantized Types"; the second
rule is that of NVIDIA Model Optimizer's int8 recipe.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..types import NodeId
from . import graphs

if TYPE_CHECKING:
    import onnx

    from .types import Placement

_ELEMENT_WISE = frozenset(
    [
        "Abs", "Add", "BatchNormalization", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish",
        "Identity", "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Sigmoid",
        "Softplus", "Sqrt", "Sub", "Tanh",
    ]
)  # fmt: skip
_MOVES = frozenset(
    ["Concat", "Expand", "Flatten", "Gather", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"]
)


class Makers:
    """Who makes what an addition adds.

    Args:
        fixed: tensors that are stored, or computed of stored ones alone.
        chosen: the operators with weights that are quantized, by NodeId.
    """

    def __init__(
        self, graph: onnx.GraphProto, placement: Placement, fixed: Collection[str], chosen: Mapping[NodeId, onnx.NodeProto]
    ) -> None:
        self._fixed, self._chosen = fixed, chosen
        self._made_by = {name: node for node in graph.node for name in node.output if name}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append(node)
        self._rounded_before_add = placement.rounded_before_add
        self._read_rounded = {node.input[0] for node in chosen.values()}
        self._patches: dict[str, NodeId] = {}  # by tensor behind a convolution, with at least one operator in between: that one
        self._kernel_of = self._kernels(graph, chosen)

    def rounded(self, addition: onnx.NodeProto) -> tuple[str, ...]:
        """The inputs of an addition that no convolution takes in which are quantized."""
        if (shortcut := self._beside_patches(addition)) is not None:
            return (shortcut,)
        if self._scores(addition.output[0]) or not any(self._comes_as_integers(name) for name in addition.input):
            return ()
        return tuple(name for name in addition.input if self._comes_as_integers(name) or name in self._read_rounded)

    def _kernels(self, graph: onnx.GraphProto, chosen: Mapping[NodeId, onnx.NodeProto]) -> dict[str, NodeId]:
        """By tensor, the one quantized operator whose kernel puts it out; what two kernels meet in belongs to neither."""
        found: dict[str, NodeId] = {}
        for node in graph.node:
            kernel: NodeId | None = None
            if graphs.node_id(node) in chosen:
                kernel = graphs.node_id(node)
            elif node.op_type in _ELEMENT_WISE | _MOVES and graphs.is_standard(node):
                makers = {found.get(name) for name in self._varying(node)}
                kernel = makers.pop() if len(makers) == 1 else None
                maker = chosen.get(kernel) if kernel is not None and len(self._varying(node)) == 1 else None
                if maker is not None and maker.op_type in ("Conv", "ConvTranspose") and self._stays_behind(node):
                    self._patches.update(dict.fromkeys(node.output, graphs.node_id(maker)))
                elif kernel is None and (shortcut := self._beside_patches(node)) is not None:
                    kernel = next(self._patches[name] for name in node.input if name != shortcut)
            if kernel is not None:
                found.update(dict.fromkeys(node.output, kernel))
        return found

    def _stays_behind(self, node: onnx.NodeProto) -> bool:
        """Whether what ``node`` puts out is still what its convolution made, biased, normalised, rectified or moved."""
        (source,) = self._varying(node)
        return (source in self._chosen or source in self._patches) and (
            node.op_type in _MOVES or node.op_type in ("Add", "BatchNormalization", "Mul", "Relu")
        )

    def _beside_patches(self, node: onnx.NodeProto) -> str | None:
        """The other input of an addition that takes in what stands behind a convolution."""
        if node.op_type != "Add" or len(self._varying(node)) != 2:
            return None
        others = [name for name in node.input if name not in self._patches]
        return others[0] if len(others) == 1 else None

    def _varying(self, node: onnx.NodeProto) -> Sequence[str]:
        return [name for name in node.input if name and name not in self._fixed]

    def _comes_as_integers(self, tensor: str) -> bool:
        """What is moved to a place that is only known when it runs does not: it is moved in float."""
        node = self._made_by.get(tensor)
        if tensor in self._kernel_of:
            return True
        if node is None or not graphs.is_standard(node):
            return False
        if node.op_type in _MOVES:
            varying = self._varying(node)
            return bool(varying) and all(self._comes_as_integers(name) for name in varying)
        return node.op_type in self._rounded_before_add

    def _scores(self, tensor: str) -> bool:
        """Whether a Softmax, perhaps behind moves, reads it for a product."""
        for reader in self._readers.get(tensor, ()):
            if reader.op_type in ("Flatten", "Reshape") and self._scores(reader.output[0]):
                return True
            if reader.op_type == "Softmax" and self._feeds_product(reader.output[0]):
                return True
        return False

    def _feeds_product(self, tensor: str) -> bool:
        readers = self._readers.get(tensor, ())
        return any(
            reader.op_type == "MatMul" or (reader.op_type in ("Flatten", "Reshape") and self._feeds_product(reader.output[0]))
            for reader in readers
        )
