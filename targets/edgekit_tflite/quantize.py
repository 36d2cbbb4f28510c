"""Quantization by ai-edge-quantizer, with a recipe that names every operator it touches.

The quantizer's own recipes match operators by regular expressions and pass over in silence what they cannot do. Here the operators
are chosen first (:mod:`.placement`), each is named exactly, and what came of it is counted in the file that was made.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ModelError
from edgekit.state import write_file

from . import graph as tflite
from . import vendor
from .calibration import quantizer_ranges

if TYPE_CHECKING:
    from edgekit.quantize.types import Range
    from edgekit.types import JSON

#: The quantizer's names of operators, where they are not the file's.
_NAMES = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}
#: Products have kernels with one scale a column only where the weights are the second input of a FULLY_CONNECTED.
_ONE_SCALE = frozenset({"BATCH_MATMUL"})


def weight_config(bits: int, kind: str, block_size: int = 0) -> dict[str, JSON]:
    """How weights are stored: symmetric, one scale a channel, or a block of so many along the inputs."""
    granularity = "TENSORWISE" if kind in _ONE_SCALE else f"BLOCKWISE_{block_size}" if block_size else "CHANNELWISE"
    return {"num_bits": bits, "symmetric": True, "granularity": granularity, "dtype": "INT"}


def static_config(kind: str) -> dict[str, JSON]:
    """Weights and activations in int8; activations with a zero point of their own."""
    activations = {"num_bits": 8, "symmetric": False, "granularity": "TENSORWISE", "dtype": "INT"}
    return {**dynamic_config(8, kind), "activation_tensor_config": activations}


def dynamic_config(bits: int, kind: str, block_size: int = 0) -> dict[str, JSON]:
    """Weights in integers; the kernel quantizes what it reads at every inference."""
    weights = weight_config(bits, kind, block_size)
    return {"weight_tensor_config": weights, "compute_precision": "INTEGER", "explicit_dequantize": False}


def weight_only_config(bits: int, kind: str) -> dict[str, JSON]:
    """Weights in integers, brought back to float before they are used."""
    return {"weight_tensor_config": weight_config(bits, kind), "compute_precision": "FLOAT", "explicit_dequantize": True}


def float16_config(_: str) -> dict[str, JSON]:
    """Weights in half precision, brought back to float before they are used."""
    weights = {"num_bits": 16, "symmetric": True, "granularity": "TENSORWISE", "dtype": "FLOAT"}
    return {"weight_tensor_config": weights, "compute_precision": "FLOAT", "explicit_dequantize": True}


def recipe(graph: tflite.Graph, operators: Sequence[int], config: Any, algorithm: str) -> list[dict[str, JSON]]:
    """Entries of a recipe for exactly these operators.

    Args:
        config: the configuration of a kind of operator.
    """
    scopes: dict[str, list[str]] = defaultdict(list)
    for index in operators:
        scopes[graph.operators[index].kind].append(graph.operators[index].scope)
    return [
        {
            "regex": f"^(?:{'|'.join(map(re.escape, names))})$",
            "operation": _NAMES.get(kind, kind),
            "algorithm_key": algorithm,
            "op_config": config(kind),
        }
        for kind, names in scopes.items()
    ]


def integer_interface() -> list[dict[str, JSON]]:
    """Entries that keep the model's inputs and outputs in int8 where the operators next to them compute in it."""
    return [
        {"regex": ".*", "operation": name, "algorithm_key": "min_max_uniform_quantize", "op_config": static_config(name)}
        for name in ("INPUT", "OUTPUT")
    ]


def quantize(path: Path, out: Path, entries: list[dict[str, JSON]], ranges: Mapping[str, Range]) -> None:
    """Write ``path`` quantized by the recipe ``entries`` to ``out``; as it is where there are none.

    Args:
        ranges: of every activation that a static entry needs.

    Raises:
        ModelError: the quantizer cannot do it.
    """
    if not entries:
        write_file(out, _mended(path, path.read_bytes()))
        return
    quantizer = vendor.quantizer("quantizer")
    with vendor.quiet(), vendor.as_model_errors("ai-edge-quantizer cannot quantize this model"):
        job = quantizer.Quantizer(str(path), entries)
        made = job.quantize(
            dict(quantizer_ranges(ranges)) if job.need_calibration else None,
            enable_progress_bar=False,
            enable_progress_report=False,
        ).quantized_model
    if made is None:
        raise ModelError("ai-edge-quantizer made no model")
    write_file(out, _mended(path, bytes(made)))


def _mended(original: Path, made: bytes) -> bytes:
    """``made`` with the signature that ``original`` has, of the tensors that are its inputs and outputs now, and no bytes twice.

    The quantizer puts another tensor in an output's place where operators read that output too, and leaves the signature at the old
    one: what it names is then no output, and cannot be read. And the converter writes a matrix anew for every node that reads it.
    """
    flatbuffers = vendor.litert("tools.flatbuffer_utils")
    before, after = flatbuffers.read_model(str(original)), flatbuffers.read_model_from_bytearray(bytearray(made))
    for old, new in zip(before.signatureDefs or (), after.signatureDefs or (), strict=True):
        was, now = before.subgraphs[old.subgraphIndex], after.subgraphs[new.subgraphIndex]
        for entries, entries_now, tensors, tensors_now in (
            (old.inputs, new.inputs, was.inputs, now.inputs),
            (old.outputs, new.outputs, was.outputs, now.outputs),
        ):
            for entry, entry_now in zip(entries, entries_now, strict=True):
                entry_now.tensorIndex = int(tensors_now[list(tensors).index(entry.tensorIndex)])
    _share_buffers(after)
    return bytes(flatbuffers.convert_object_to_bytearray(after))


def _share_buffers(model: Any) -> None:
    """Let all tensors with the same bytes refer to one copy of them; the others become empty."""
    import numpy as np

    first: dict[bytes, int] = {}
    same: dict[int, int] = {}
    for index, buffer in enumerate(model.buffers):
        if buffer.data is not None and len(buffer.data):
            buffer.data = np.frombuffer(
                buffer.data, np.uint8
            )  # anything else is written byte by byte, in Python: a minute for 60 MB
            same[index] = first.setdefault(hashlib.sha256(buffer.data).digest(), index)
    used = {entry.buffer for entry in model.metadata or ()}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            tensor.buffer = same.get(tensor.buffer, tensor.buffer)
            used.add(tensor.buffer)
    for index in set(same) - used:
        model.buffers[index].data = None


def quantized_operators(graph: tflite.Graph) -> Counter[str]:
    """The operators whose weights are stored in fewer than 32 bits, by kind."""
    narrow = {"INT8", "INT4", "INT2", "int8", "FLOAT16", "float16"}
    restored = {
        operator.outputs[0]
        for operator in graph.operators
        if operator.kind == "DEQUANTIZE" and any(graph.tensors[name].dtype in narrow for name in operator.constants)
    }
    return Counter(
        operator.kind
        for operator in graph.operators
        if operator.kind not in ("DEQUANTIZE", "QUANTIZE")
        and (any(graph.tensors[name].dtype in narrow for name in operator.constants) or not restored.isdisjoint(operator.inputs))
    )
