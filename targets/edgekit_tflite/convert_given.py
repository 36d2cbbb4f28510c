"""A float ``.tflite`` as quantizers want it: float32 weights, and operators named where they look. Its values stay the same.

Exporters store weights as float16 and put a DEQUANTIZE behind each, which runs once, when the file is loaded: to a quantizer the
operators then have no constant weights. Files of before 2020 name their operators in a field that ai-edge-quantizer does not read,
and have no signature, which it needs to calibrate. It passes over the first two in silence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import vendor


def plain(path: Path) -> bytes | None:
    """The file with float32 weights and without the operators that made them; None where there is nothing to change.

    Raises:
        ModelError: it cannot be read or written.
    """
    schema = vendor.litert("schema_py_generated")
    flatbuffers = vendor.litert("tools.flatbuffer_utils")
    with vendor.as_model_errors(f"{path.name} cannot be rewritten for the quantizer"):
        model = flatbuffers.read_model(str(path))
        is_old = any(code.builtinCode < code.deprecatedBuiltinCode for code in model.operatorCodes)
        for code in model.operatorCodes:
            code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        n_widened = 0
        for index, graph in enumerate(model.subgraphs):
            kept = [operator for operator in graph.operators if not _widened(model, graph, operator, schema)]
            n_widened += len(graph.operators) - len(kept)
            graph.operators = kept
            _drop_unused(graph, [each for each in model.signatureDefs or [] if each.subgraphIndex == index])
        if not n_widened and not is_old and model.signatureDefs:
            return None
        if not model.signatureDefs:
            model.signatureDefs = [_signature(model.subgraphs[0], schema)]
        used = {0} | {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
        used.update(entry.buffer for entry in model.metadata or ())
        model.metadataBuffer = None  # the old way to refer to them, by positions that have changed
        for index in set(range(len(model.buffers))) - used:
            model.buffers[index].data = None
        return bytes(flatbuffers.convert_object_to_bytearray(model))


def _signature(graph: Any, schema: Any) -> Any:
    """The main graph's, under the names of its tensors."""

    def entries(indices: Any) -> list[Any]:
        made = []
        for index in indices:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = graph.tensors[index].name, int(index)
            made.append(entry)
        return made

    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = entries(graph.inputs), entries(graph.outputs)
    return signature


def _widened(model: Any, graph: Any, operator: Any, schema: Any) -> bool:
    """Put float32 values into the operator's output, where it does nothing but make them of stored halves."""
    if model.operatorCodes[operator.opcodeIndex].builtinCode != schema.BuiltinOperator.DEQUANTIZE:
        return False
    source, result = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    stored = model.buffers[source.buffer].data
    if source.type != schema.TensorType.FLOAT16 or stored is None or len(stored) == 0 or source.sparsity is not None:
        return False
    values = np.frombuffer(np.asarray(stored, np.uint8).tobytes(), "<f2").astype("<f4")
    made = schema.BufferT()
    made.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(made)
    result.buffer = len(model.buffers) - 1
    return True


def _drop_unused(graph: Any, signatures: list[Any]) -> None:
    """Tensors that nothing refers to go."""
    used = {int(index) for operator in graph.operators for index in (*operator.inputs, *operator.outputs, *_inner(operator))}
    used.update(int(index) for index in (*graph.inputs, *graph.outputs))
    entries = [entry for signature in signatures for entry in (*signature.inputs, *signature.outputs)]
    used.update(entry.tensorIndex for entry in entries)
    kept = [index for index in range(len(graph.tensors)) if index in used]
    place = {-1: -1, **{index: position for position, index in enumerate(kept)}}
    graph.tensors = [graph.tensors[index] for index in kept]
    for operator in graph.operators:
        operator.inputs = [place[int(index)] for index in operator.inputs]
        operator.outputs = [place[int(index)] for index in operator.outputs]
        if operator.intermediates is not None:
            operator.intermediates = [place[int(index)] for index in operator.intermediates]
    graph.inputs, graph.outputs = ([place[int(index)] for index in side] for side in (graph.inputs, graph.outputs))
    for entry in entries:
        entry.tensorIndex = place[entry.tensorIndex]


def _inner(operator: Any) -> Any:
    return operator.intermediates if operator.intermediates is not None else ()
