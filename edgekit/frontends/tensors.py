"""What a tensor in an ONNX file says of itself, checked against the bytes that are there before anything is allocated for it."""

from __future__ import annotations

import hashlib
import math

import onnx

from ..errors import ModelError

#: Bits of one element by ONNX data type name. Strings have no fixed size and are not listed.
_ELEMENT_BITS = {
    "FLOAT": 32, "DOUBLE": 64, "FLOAT16": 16, "BFLOAT16": 16, "COMPLEX64": 64, "COMPLEX128": 128, "BOOL": 8,
    "INT8": 8, "INT16": 16, "INT32": 32, "INT64": 64, "UINT8": 8, "UINT16": 16, "UINT32": 32, "UINT64": 64,
    "FLOAT8E4M3FN": 8, "FLOAT8E4M3FNUZ": 8, "FLOAT8E5M2": 8, "FLOAT8E5M2FNUZ": 8, "FLOAT8E8M0": 8,
    "INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2,
}  # fmt: skip
_PAYLOAD_FIELDS = ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data", "string_data")


def is_external(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def type_name(data_type: int) -> str:
    """ONNX's own name of a data type ("FLOAT"), or its number where this onnx does not know it."""
    names: dict[int, str] = {number: name for name, number in onnx.TensorProto.DataType.items()}
    return names.get(data_type, f"type {data_type}")


def declared_bytes(tensor: onnx.TensorProto) -> int:
    """The bytes that the tensor's type and dimensions call for (for strings: the bytes that are there).

    Raises:
        ModelError: a negative dimension, or a type without a size.
    """
    name = type_name(tensor.data_type)
    if name == "STRING":
        return sum(len(text) for text in tensor.string_data)
    if name not in _ELEMENT_BITS:
        raise ModelError(f"tensor {tensor.name!r} has the unknown element {name}", hint="export the model again")
    if any(size < 0 for size in tensor.dims):
        raise ModelError(f"tensor {tensor.name!r} has a negative dimension", why=f"its shape is {list(tensor.dims)}")
    elements: int = math.prod(tensor.dims)
    return (elements * _ELEMENT_BITS[name] + 7) // 8


def content(tensor: onnx.TensorProto) -> bytes:
    """The tensor's values as little-endian C-order bytes, in whichever field the exporter put them.

    Raises:
        ModelError: not as many values as its shape says, or the values are in another file.
    """
    if is_external(tensor):
        raise ModelError(f"the values of tensor {tensor.name!r} are in another file", why="external data were not loaded")
    expected = declared_bytes(tensor)
    if type_name(tensor.data_type) == "STRING":
        return b"".join(len(text).to_bytes(8, "little") + text for text in tensor.string_data)
    if tensor.HasField("raw_data"):
        data = tensor.raw_data
    else:
        try:
            data = _packed(tensor)
        except (ValueError, TypeError, OverflowError) as problem:
            raise ModelError(f"the values of tensor {tensor.name!r} do not fit its shape", why=str(problem)) from problem
    if len(data) != expected:
        raise ModelError(
            f"tensor {tensor.name!r} is not whole",
            why=f"its shape {list(tensor.dims)} needs {expected} bytes, the file has {len(data)}",
            hint="the file may be cut off; copy or export it again",
        )
    return data


def _packed(tensor: onnx.TensorProto) -> bytes:
    array = onnx.numpy_helper.to_array(tensor)
    raw: bytes = onnx.numpy_helper.from_array(array).raw_data
    return raw


def digest(tensor: onnx.TensorProto) -> str:
    """sha256 of :func:`content`."""
    return hashlib.sha256(content(tensor)).hexdigest()


def clear_content(tensor: onnx.TensorProto) -> None:
    """Leave name, type and shape; drop the values and where they are stored."""
    for field in (*_PAYLOAD_FIELDS, "external_data", "data_location"):
        tensor.ClearField(field)
