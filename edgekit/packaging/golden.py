"""The golden pair as one file that any language reads: raw little-endian numbers, tensor after tensor, inputs before outputs."""

from __future__ import annotations

from dataclasses import dataclass

from .source import PackageSource

GOLDEN = "golden.bin"


@dataclass(frozen=True)
class GoldenEntry:
    """Where a tensor lies in the file: ``offset_bytes`` from the start, in C order, in the original layout and dtype."""

    role: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset_bytes: int


def pack_golden(source: PackageSource) -> tuple[bytes, tuple[GoldenEntry, ...]]:
    """The file's bytes, and where each tensor of the contract lies in it; tensors start at multiples of 8 bytes."""
    import numpy as np

    data, entries = bytearray(), []
    for tensor in (*source.inputs, *source.outputs):
        arrays = source.golden.inputs if tensor.role == "input" else source.golden.outputs
        array = np.asarray(arrays[tensor.original.name])
        data.extend(bytes(-len(data) % 8))
        entries.append(GoldenEntry(tensor.role, tensor.original.name, str(array.dtype), array.shape, len(data)))
        data.extend(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return bytes(data), tuple(entries)
