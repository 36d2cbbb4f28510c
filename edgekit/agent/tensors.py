"""Tensors in a frame: ``[{"name", "dtype", "shape"}]`` in the header, their little-endian C-order bytes one after another in the
payload.

The guardian passes them on as opaque bytes. Only a worker (and the host) turns them into numpy arrays, so numpy is looked up
when it is needed: an agent on a board without numpy still answers ``hello`` and ``probe``.
"""

from __future__ import annotations

import importlib
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

ITEM_BYTES = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "int32": 4, "uint32": 4, "float32": 4,
    "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip
MAX_TENSORS = 1024
MAX_RANK = 32
MAX_NAME_CHARACTERS = 1024


class TensorError(Exception):
    """Tensors that do not fit the protocol: a dtype outside the list, a shape that does not match its bytes, too many of them."""


class Description(NamedTuple):
    """One tensor of a payload, checked."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    size_bytes: int


def encode(arrays: Mapping[str, Any]) -> Tuple[List[Dict[str, Any]], bytes]:
    """Header entries and payload of numpy arrays.

    Raises:
        TensorError: a dtype that the protocol does not carry (text, objects, complex numbers), or too many tensors.
    """
    numpy = importlib.import_module("numpy")
    entries: List[Dict[str, Any]] = []
    parts: List[bytes] = []
    for name, value in arrays.items():
        array = numpy.asarray(value)
        dtype = array.dtype.name
        if dtype not in ITEM_BYTES:
            raise TensorError("tensor %r has dtype %s, which the protocol does not carry" % (name, dtype))
        entries.append({"name": name, "dtype": dtype, "shape": list(array.shape)})
        parts.append(numpy.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes())
    payload = b"".join(parts)
    describe(entries, len(payload))
    return entries, payload


def describe(entries: Any, payload_bytes: int) -> List[Description]:
    """The checked descriptions of a payload's tensors.

    Raises:
        TensorError: anything that does not add up.
    """
    if not isinstance(entries, list) or len(entries) > MAX_TENSORS:
        raise TensorError("tensors must be a list of at most %d entries" % MAX_TENSORS)
    found = [_description(entry) for entry in entries]
    if len({tensor.name for tensor in found}) != len(found):
        raise TensorError("two tensors have the same name")
    total = sum(tensor.size_bytes for tensor in found)
    if total != payload_bytes:
        raise TensorError("tensors announce %d bytes, the payload has %d" % (total, payload_bytes))
    return found


def _description(entry: Any) -> Description:
    if not isinstance(entry, dict):
        raise TensorError("a tensor's description must be an object")
    name, dtype, shape = entry.get("name"), entry.get("dtype"), entry.get("shape")
    if not isinstance(name, str) or len(name) > MAX_NAME_CHARACTERS:
        raise TensorError("a tensor without a usable name")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise TensorError("tensor %r has dtype %.40r, which the protocol does not carry" % (name, dtype))
    if not isinstance(shape, list) or len(shape) > MAX_RANK or any(type(size) is not int or size < 0 for size in shape):
        raise TensorError("tensor %r has no usable shape" % name)
    count = 1
    for size in shape:
        count *= size
    return Description(name, dtype, tuple(shape), count * ITEM_BYTES[dtype])


def decode(entries: Any, payload: Sequence[int]) -> Dict[str, Any]:
    """numpy arrays of a payload: native byte order, aligned, writable, owning their memory.

    Raises:
        TensorError: the description does not match the payload.
    """
    numpy = importlib.import_module("numpy")
    arrays: Dict[str, Any] = {}
    offset = 0
    view = memoryview(payload)  # type: ignore[arg-type]
    for tensor in describe(entries, len(payload)):
        raw = view[offset : offset + tensor.size_bytes]
        little = numpy.frombuffer(raw, dtype=numpy.dtype(tensor.dtype).newbyteorder("<"))
        arrays[tensor.name] = little.astype(tensor.dtype).reshape(tensor.shape)
        offset += tensor.size_bytes
    return arrays
