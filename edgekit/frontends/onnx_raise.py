"""Raising a model to an opset that quantizers can express themselves in, and proving that it still computes the same.

``onnx.version_converter`` does the rewriting. Weights are kept out of its way (it serializes the model twice, and protobuf ends at
2 GiB), and so are softmaxes, which it would wrap in reshapes even where old and new definition agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import version_converter

from ..errors import ModelError
from ..state import work_folder
from ..types import Array, TensorSpec
from .graph import node_id, opset_of, weights_as_inputs
from .onnx_clean import lift_constants, name_nodes
from .onnx_file import parse
from .onnx_save import EXTERNAL_OVER_BYTES, save
from .onnx_session import plain_reason, quiet_session, run, trial_runs
from .tensors import declared_bytes

TARGET_OPSET = 17  # the first with every operator that edgekit's quantizers write; read by every runtime it targets
_TARGET_IR = 8  # the file format that came with it
_NEW_SOFTMAX_OPSET = 13
_SOFTMAXES = ("Softmax", "LogSoftmax", "Hardmax")
_HINT = "export the model again with opset 17"


def raise_opset(proto: onnx.ModelProto, inputs: Sequence[TensorSpec]) -> onnx.ModelProto:
    """``proto`` (clean, weights loaded) at opset 17, or unchanged when it is there already.

    Every NodeId of ``proto`` is still the output of a node, and both models give the same answer to a made-up input in ONNX Runtime
    (relative tolerance 1e-3; integers exactly).

    Raises:
        ModelError: an operator cannot be raised, or the result differs; names the operator.
    """
    opset = opset_of(proto)
    assert opset is not None, "parse() refuses models without an opset"
    if opset >= TARGET_OPSET:
        return proto
    raised = _convert(proto, inputs, opset)
    made = {name for node in raised.graph.node for name in node.output}
    lost = [node for node in proto.graph.node if node_id(node) not in made]
    if lost:
        raise _cannot_raise(opset, lost[0].op_type, "its output is lost on the way")
    _check_same_answers(proto, raised, inputs, opset)
    return raised


def _cannot_raise(opset: int, operator: str, why: str) -> ModelError:
    what = f"the model cannot be raised from opset {opset} to {TARGET_OPSET}"
    return ModelError(f"{what} because of operator {operator}" if operator else what, why=why, hint=_HINT)


# ---------------------------------------------------------------- conversion
def _convert(proto: onnx.ModelProto, inputs: Sequence[TensorSpec], opset: int) -> onnx.ModelProto:
    light, weights = weights_as_inputs(proto)
    sparse = _sparse_as_inputs(light.graph)
    softmaxes = _softmax_axes(proto, light, inputs) if opset < _NEW_SOFTMAX_OPSET else {}
    _hide_softmaxes(light.graph, softmaxes)
    _expose_all(light.graph)
    try:
        raised = version_converter.convert_version(light, TARGET_OPSET)
    except (RuntimeError, ValueError) as problem:  # ConvertError is a RuntimeError
        text = plain_reason(problem)
        operator = re.search(r"\bfor (\w+)\s*$", text)
        raise _cannot_raise(opset, operator[1] if operator else "", text) from problem
    _show_softmaxes(raised.graph, softmaxes)
    raised.graph.initializer.extend(weights)
    raised.graph.sparse_initializer.extend(sparse)
    del raised.graph.input[:]
    raised.graph.input.extend(proto.graph.input)
    del raised.graph.output[:]
    raised.graph.output.extend(proto.graph.output)
    _restore_annotations(proto.graph, raised.graph)
    lift_constants(raised.graph)
    _restore_names(proto.graph, raised.graph)
    name_nodes(raised.graph)
    raised.ir_version = max(proto.ir_version, _TARGET_IR)
    return raised


def _expose_all(graph: onnx.GraphProto) -> None:
    """Declare every node's outputs as graph outputs: the converter keeps the names of those, and of those only."""
    there = {output.name for output in graph.output}
    names = dict.fromkeys(name for node in graph.node for name in node.output if name)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)


def _restore_names(before: onnx.GraphProto, after: onnx.GraphProto) -> None:
    names = {node_id(node): node.name for node in before.node}
    for node in after.node:
        if not node.name:
            node.name = names.get(node_id(node), "")


def _sparse_as_inputs(graph: onnx.GraphProto) -> list[onnx.SparseTensorProto]:
    """Take the sparse weights out, which the converter does not know, and declare inputs in their place."""
    taken = []
    for sparse in graph.sparse_initializer:
        taken.append(onnx.SparseTensorProto.FromString(sparse.SerializeToString()))
        graph.input.append(onnx.helper.make_tensor_value_info(sparse.values.name, sparse.values.data_type, sparse.dims))
    del graph.sparse_initializer[:]
    return taken


def _softmax_axes(proto: onnx.ModelProto, light: onnx.ModelProto, inputs: Sequence[TensorSpec]) -> dict[str, tuple[str, int]]:
    """{output: (operator, axis)} of the main graph's softmaxes that mean the same before and after opset 13.

    Before opset 13 a softmax ran over its axis and all that follow, flattened; since then over its axis alone. Where those that
    follow are of size 1, or there are none, that is the same.
    """
    softmaxes = [node for node in light.graph.node if node.op_type in _SOFTMAXES and not node.domain]
    if not softmaxes:
        return {}
    shapes = _inferred_shapes(light)
    shapes |= _seen_shapes(proto, inputs, [node.input[0] for node in softmaxes if node.input[0] not in shapes])
    same = {}
    for node in softmaxes:
        shape = shapes.get(node.input[0])
        if shape is None:
            continue  # the converter wraps it in reshapes, which is right for any shape
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        axis += len(shape) if axis < 0 else 0
        if axis < len(shape) and all(size == 1 for size in shape[axis + 1 :]):
            same[node.output[0]] = (node.op_type, axis)
    return same


def _hide_softmaxes(graph: onnx.GraphProto, softmaxes: Mapping[str, tuple[str, int]]) -> None:
    """Stand an Identity in for each of ``softmaxes``, so that the converter passes it by."""
    for node in graph.node:
        if node.output[0] in softmaxes:
            node.op_type = "Identity"
            del node.attribute[:]


def _show_softmaxes(graph: onnx.GraphProto, hidden: Mapping[str, tuple[str, int]]) -> None:
    for node in graph.node:
        if node.op_type == "Identity" and node.output[0] in hidden:
            node.op_type, axis = hidden[node.output[0]]
            node.attribute.append(onnx.helper.make_attribute("axis", axis))


def _inferred_shapes(proto: onnx.ModelProto) -> dict[str, list[int]]:
    """Shapes by tensor name as far as onnx can infer them; 0 where a size is free."""
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    except onnx.shape_inference.InferenceError:
        inferred = proto.graph  # what is declared must do
    return {
        entry.name: [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        for entry in [*inferred.input, *inferred.value_info, *inferred.output]
        if entry.type.tensor_type.HasField("shape")
    }


def _seen_shapes(proto: onnx.ModelProto, inputs: Sequence[TensorSpec], names: Sequence[str]) -> dict[str, list[int]]:
    """The number of dimensions of inner tensors, as a shape of free sizes, from one run: onnx cannot infer every Reshape."""
    if not names:
        return {}
    _, values = next(trial_runs(_session(_exposing(proto, names)), inputs), ({}, {}))
    return {name: [0] * array.ndim for name, array in values.items() if name in names}


def _restore_annotations(before: onnx.GraphProto, after: onnx.GraphProto) -> None:
    """Put back the declared inner shapes and quantization annotations that the converter drops."""
    there = {entry.name for entry in after.value_info}
    after.value_info.extend(entry for entry in before.value_info if entry.name not in there)
    if not after.quantization_annotation:
        after.quantization_annotation.extend(before.quantization_annotation)


# ---------------------------------------------------------------- proof
def _check_same_answers(before: onnx.ModelProto, after: onnx.ModelProto, inputs: Sequence[TensorSpec], opset: int) -> None:
    failures: list[ModelError] = []
    for feed, expected in trial_runs(_session(before), inputs, failures):
        try:
            answers = run(_session(after), feed)
        except ModelError as problem:
            raise _cannot_raise(opset, "", problem.why) from problem
        if any(not _same(expected[name], answers[name]) for name in expected):
            raise _cannot_raise(opset, _first_difference(before, after, feed), "the raised model gives other answers")
        return
    raise ModelError(
        f"the model raised from opset {opset} to {TARGET_OPSET} could not be compared with the original",
        why=f"it does not run on any input that was tried; on the first: {failures[0].why}",
        hint="give the input's shape with --shape",
    )


def _session(proto: onnx.ModelProto) -> Any:
    if sum(declared_bytes(tensor) for tensor in proto.graph.initializer) <= EXTERNAL_OVER_BYTES:
        return quiet_session(proto)
    with work_folder() as folder:  # too large to hand over in memory
        path = save(proto, folder / "model.onnx")[0]
        return quiet_session(parse(path), folder)


def _same(expected: Array, answer: Array) -> bool:
    if expected.shape != answer.shape or expected.dtype != answer.dtype:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, answer))
    finite = expected[np.isfinite(expected)]
    scale = float(np.abs(finite.astype(np.float64)).max()) if finite.size else 0.0
    return bool(np.allclose(answer.astype(np.float64), expected.astype(np.float64), rtol=1e-3, atol=1e-3 * scale, equal_nan=True))


def _first_difference(before: onnx.ModelProto, after: onnx.ModelProto, feed: Mapping[str, Array]) -> str:
    """The operator of the first node, in the order of the original, whose output differs; ``""`` when it lies deeper."""
    names = {node_id(node): node.op_type for node in before.graph.node}
    answers = []
    for proto in (before, after):
        try:
            answers.append(run(_session(_exposing(proto, [*names])), feed))
        except ModelError:
            return ""  # some inner value is no tensor: the comparison as a whole has failed all the same
    return next((operator for name, operator in names.items() if not _same(answers[0][name], answers[1][name])), "")


def _exposing(proto: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy of ``proto`` that also gives the inner tensors ``names`` as outputs."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(proto)
    there = {output.name for output in exposed.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in there)
    return exposed
