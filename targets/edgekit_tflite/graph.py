"""What is in a ``.tflite`` file: operators and tensors by name, and how its inputs and outputs are stored.

Tensors are called by their names, which ai-edge-quantizer needs to be unique as well.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.errors import ModelError

from . import vendor

#: Numpy names of the flatbuffer's tensor types; others (strings, resources, 4-bit integers) cannot be an input or output here.
DTYPES = {
    "FLOAT32": "float32", "FLOAT16": "float16", "FLOAT64": "float64", "INT8": "int8", "INT16": "int16", "INT32": "int32",
    "INT64": "int64", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """``dtype``: numpy's name, or the file's where numpy has none; ``buffer``: where the file stores it, several may share one;
    ``scale`` and ``zero_point``: where one holds for the whole.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_constant: bool
    buffer: int = 0
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class Operator:
    """``kind``: the file's name of the operator. Names of tensors; ``constants`` are inputs that are stored in the file."""

    kind: str
    inputs: tuple[str, ...]
    constants: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def scope(self) -> str:
        """What ai-edge-quantizer calls it."""
        return "".join(f"{name};" for name in self.outputs or self.inputs)


@dataclass(frozen=True)
class Graph:
    """The main graph. ``inputs`` and ``outputs``: {name in the signature: tensor}; by the tensors' names where there is none."""

    operators: tuple[Operator, ...]
    tensors: dict[str, Tensor] = field(hash=False)
    inputs: dict[str, Tensor] = field(hash=False)
    outputs: dict[str, Tensor] = field(hash=False)
    n_graphs: int = 1


def read(path: Path) -> Graph:
    """The main graph of a file.

    Raises:
        ModelError: it is no such file.
        MissingExtraError: LiteRT, which brings the format's schema, is not installed.
    """
    found = path.stat()
    return _read(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=8)
def _read(path: Path, modified_ns: int, size_bytes: int) -> Graph:  # noqa: ARG001 - a file that was written anew is another one
    schema = vendor.litert("schema_py_generated")
    flatbuffers = vendor.litert("tools.flatbuffer_utils")
    with vendor.as_model_errors(f"{path.name} is not a TensorFlow Lite model"):
        model = flatbuffers.read_model(str(path))
        if not model.subgraphs:
            raise ModelError(f"{path.name} has no graph")
        return _graph(model, schema)


def _graph(model: Any, schema: Any) -> Graph:
    kinds, types = _names(schema.BuiltinOperator), _names(schema.TensorType)
    main = model.subgraphs[0]
    tensors = [_tensor(tensor, model.buffers, types) for tensor in main.tensors]
    operators = []
    for each in main.operators:
        code = model.operatorCodes[each.opcodeIndex]
        kind = kinds.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")
        inputs = [tensors[index] for index in each.inputs if index >= 0]
        operators.append(
            Operator(
                kind,
                tuple(tensor.name for tensor in inputs if not tensor.is_constant),
                tuple(tensor.name for tensor in inputs if tensor.is_constant),
                tuple(tensors[index].name for index in each.outputs if index >= 0),
            )
        )
    signatures = model.signatureDefs or []
    if len(signatures) == 1:
        sides = (signatures[0].inputs, signatures[0].outputs)
        ends = [{_text(entry.name): tensors[entry.tensorIndex] for entry in side} for side in sides]
    else:
        ends = [{tensors[index].name: tensors[index] for index in side} for side in (main.inputs, main.outputs)]
    by_name = {tensor.name: tensor for tensor in tensors}
    return Graph(tuple(operators), by_name, ends[0], ends[1], len(model.subgraphs))


def _tensor(tensor: Any, buffers: Any, types: dict[int, str]) -> Tensor:
    stored = buffers[tensor.buffer].data
    how = tensor.quantization
    scales = [] if how is None or how.scale is None else list(how.scale)
    zeros = [] if how is None or how.zeroPoint is None else list(how.zeroPoint)
    kind = types.get(tensor.type, "?")
    return Tensor(
        _text(tensor.name),
        DTYPES.get(kind, kind),
        tuple(int(size) for size in (tensor.shape if tensor.shape is not None else ())),
        stored is not None and len(stored) > 0,
        int(tensor.buffer),
        float(scales[0]) if len(scales) == 1 else None,
        int(zeros[0]) if len(scales) == 1 and zeros else (0 if len(scales) == 1 else None),
    )


def _names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
