"""float16 in the graph: casts where a strongly typed network needs them, and what is sensitive left in float32.

Every tensor has up to two forms, one a type; the second is made by a ``Cast`` (or, of a stored one, by storing it twice) when
something first asks for it. Inputs and outputs of the graph keep their type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.quantize import graphs

from .graph_view import GraphView, captured

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
LARGEST = float(np.finfo(np.float16).max)
LEAST_SCALE = float(np.finfo(np.float16).tiny)
HALF_SCALES_SINCE = 19  # the opset in which Q/DQ take float16

#: Sums and powers that leave float16's range or digits: normalizations (whole, or in the pieces that exporters write),
#: exponentials.
SENSITIVE = frozenset(
    [
        "LayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "RMSNormalization",
        "MeanVarianceNormalization",
        "LpNormalization",
        "ReduceMean",
        "ReduceSum",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceProd",
        "Exp",
        "Log",
        "Pow",
        "Sqrt",
        "Reciprocal",
        "LogSoftmax",
        "CumSum",
        "Range",
        "GridSample",
        "RoiAlign",
        "NonMaxSuppression",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Einsum",
    ]
)
#: They compute nothing: whichever type there is will do.
_CARRIERS = frozenset(
    [
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
        "Identity",
        "Slice",
        "Split",
        "Concat",
        "Gather",
        "Expand",
        "Tile",
        "DepthToSpace",
        "SpaceToDepth",
        "MaxPool",
    ]
)
_ASKS_FOR_SHAPE = frozenset({"Shape", "Size"})
_PAIR = ("QuantizeLinear", "DequantizeLinear")


def to_half(model: onnx.ModelProto, *, keep_float: Collection[str] = ()) -> Counter[str]:
    """Rewrite the main graph of ``model`` in place; the nodes that compute in float16, by type.

    Where the opset allows it, scales of Q/DQ become float16, for which they are rounded to it first; scales too small for that stay
    in float32, behind casts.

    Args:
        keep_float: NodeIds that stay in float32.
    """
    return _Halver(model, keep_float).run()


class _Halver:
    def __init__(self, model: onnx.ModelProto, keep_float: Collection[str]) -> None:
        self.model, self.graph, self.keep_float = model, model.graph, keep_float
        self.view = GraphView(model)
        self.opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
        self.half_scales = self.opset >= HALF_SCALES_SINCE
        self.fresh = graphs.FreshNames(model.graph)
        self.fixed = {value.name for value in model.graph.output}.union(*(captured(node) for node in model.graph.node))
        self.forms: dict[str, dict[int, str]] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.halves: set[str] = set()
        self.halved: Counter[str] = Counter()

    def run(self) -> Counter[str]:
        self.halves = self.choose()
        if self.half_scales:
            self.round_scales()
        for node in list(self.graph.node):
            (self.rewrite_pair if node.op_type in _PAIR else self.rewrite)(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.value_info[:]  # types have changed
        graphs.drop_unused(self.graph)
        return self.halved

    # ------------------------------------------------------------ which nodes
    def choose(self) -> set[str]:
        """NodeIds of what computes in float16. Carriers follow what they carry; several in a row, the first."""
        chosen: set[str] = set()
        halved_tensors: set[str] = set()
        for node in self.graph.node:
            if node.op_type in _PAIR or not self.suits(node):
                continue
            carried = [name for name in node.input if self.view.type_of(name) == FLOAT and name not in self.view.stored]
            if node.op_type in _CARRIERS and not any(name in halved_tensors for name in carried):
                continue
            chosen.add(graphs.node_id(node))
            halved_tensors.update(node.output)
        return chosen

    def suits(self, node: onnx.NodeProto) -> bool:
        if graphs.node_id(node) in self.keep_float or not graphs.is_standard(node) or captured(node):
            return False
        if node.op_type in SENSITIVE | _ASKS_FOR_SHAPE | {"Cast", "Constant", "ConstantOfShape"}:
            return False
        if node.op_type == "Softmax" and not self.feeds_product(node):
            return (
                False  # the last one: a probability keeps its digits. In attention it is part of one kernel, which adds in float32
            )
        inputs, outputs = self.convertible(node)
        if not inputs and not outputs:
            return False
        return all(self.fits(node.input[index]) for index in inputs)

    def feeds_product(self, node: onnx.NodeProto) -> bool:
        return any(reader.op_type == "MatMul" for reader in self.view.readers[node.output[0]])

    def fits(self, name: str) -> bool:
        """Whether a stored tensor is within float16's range."""
        tensor = self.view.stored.get(name)
        if tensor is None:
            return True
        values = numpy_helper.to_array(tensor)
        return not values.size or float(np.abs(values).max()) <= LARGEST

    def convertible(self, node: onnx.NodeProto) -> tuple[list[int], list[int]]:
        """Positions of the float32 inputs and outputs whose type the operator leaves open, float16 among others."""
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        except onnx.defs.SchemaError:
            return [], []
        open_types = {
            constraint.type_param_str for constraint in schema.type_constraints if "tensor(float16)" in constraint.allowed_type_strs
        }

        def positions(names: Collection[str], formal: Collection[onnx.defs.OpSchema.FormalParameter]) -> list[int]:
            listed = list(formal)
            return [
                index
                for index, name in enumerate(names)
                if name
                and listed
                and listed[min(index, len(listed) - 1)].type_str in open_types
                and self.view.type_of(name) == FLOAT
            ]

        return positions(node.input, schema.inputs), positions(node.output, schema.outputs)

    # ------------------------------------------------------------ rewriting
    def rewrite(self, node: onnx.NodeProto) -> None:
        is_half = graphs.node_id(node) in self.halves
        inputs, outputs = self.convertible(node) if is_half else ([], [])
        self.halved.update([node.op_type] if is_half else [])
        for index, name in enumerate(node.input):
            if not name or self.view.type_of(name) != FLOAT:
                continue
            if node.op_type in _ASKS_FOR_SHAPE:
                node.input[index] = next(iter(self.forms.get(name, {FLOAT: name}).values()))
            else:
                node.input[index] = self.form(name, HALF if index in inputs else FLOAT)
        self.nodes.append(node)
        for index in outputs:
            self.made(node, index, HALF)

    def rewrite_pair(self, node: onnx.NodeProto) -> None:
        scale, data = node.input[1], node.input[0]
        if node.op_type == "QuantizeLinear":
            known = self.forms.get(data, {FLOAT: data})
            kind = HALF if self.half_scales and FLOAT not in known and self.has_half_form(scale) else FLOAT
            node.input[0] = self.form(data, kind)
            node.input[1] = self.form(scale, kind)
            self.nodes.append(node)
            return
        wanted = any(graphs.node_id(reader) in self.halves for reader in self.view.readers[node.output[0]])
        kind = HALF if self.half_scales and wanted and self.has_half_form(scale) else FLOAT
        node.input[1] = self.form(scale, kind)
        self.nodes.append(node)
        if kind == HALF:
            self.made(node, 0, HALF)

    def made(self, node: onnx.NodeProto, index: int, kind: int) -> None:
        """Output ``index`` of ``node`` has become ``kind``. What the graph or a body reads keeps its name and its type."""
        name = node.output[index]
        self.forms[name] = {kind: name}
        if name in self.fixed:
            node.name = node.name or name
            node.output[index] = self.fresh(f"{name}_half")
            self.forms[name] = {kind: node.output[index]}
            self.cast(node.output[index], name, FLOAT)
            self.forms[name][FLOAT] = name

    def form(self, name: str, kind: int) -> str:
        """The name of ``name`` in that type."""
        if self.view.type_of(name) != FLOAT:
            return name
        known = self.forms.setdefault(name, {FLOAT: name})
        if kind not in known:
            known[kind] = self.fresh(f"{name}_half" if kind == HALF else f"{name}_float")
            if name in self.view.stored:
                values = numpy_helper.to_array(self.view.stored[name]).astype(np.float16)
                self.graph.initializer.append(numpy_helper.from_array(values, known[kind]))
            else:
                self.cast(next(iter(known.values())), known[kind], kind)
        return known[kind]

    def cast(self, source: str, result: str, kind: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [result], name=self.fresh(f"{result}_Cast"), to=kind))

    # ------------------------------------------------------------ scales
    def round_scales(self) -> None:
        """Scales become numbers that float16 has, so that both halves of a pair go on having the same one."""
        for name in {node.input[1] for node in self.graph.node if node.op_type in _PAIR}:
            if self.has_half_form(name):
                tensor = self.view.stored[name]
                values = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(values.dtype), name))

    def has_half_form(self, name: str) -> bool:
        tensor = self.view.stored.get(name)
        if tensor is None or tensor.data_type != FLOAT:
            return False
        values = numpy_helper.to_array(tensor)
        return bool((values >= LEAST_SCALE).all() and (values <= LARGEST).all())
