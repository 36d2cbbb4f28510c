"""Writing a model: whole or not at all, its weights beside it when they do not fit into one file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import onnx

from ..state import write_file, writing
from .graph import SMALL_TENSOR_BYTES, without_weights
from .tensors import content, declared_bytes

EXTERNAL_OVER_BYTES = 1_500_000_000  # protobuf ends at 2 GiB; the graph itself needs room too
_ALIGNMENT_BYTES = 4096  # so that a runtime can map the weights into memory


def save(proto: onnx.ModelProto, path: Path, *, external_over_bytes: int = EXTERNAL_OVER_BYTES) -> list[Path]:
    """Write ``proto`` (whose weights are loaded) to ``path``.

    With more than ``external_over_bytes`` of weights, those above 4 KiB go to ``<name>.data`` in the same folder. Each file is
    written aside and renamed, the data file first.

    Returns:
        The files written, the model first.

    Raises:
        OutputError: no space or no permission.
    """
    total_bytes = sum(declared_bytes(tensor) for tensor in proto.graph.initializer)
    if total_bytes <= external_over_bytes:
        write_file(path, proto.SerializeToString())
        return [path]
    light, weights = without_weights(proto, over_bytes=SMALL_TENSOR_BYTES)
    data_path = path.with_name(path.name + ".data")
    for weight, offset in zip(weights, _write_weights(weights, data_path), strict=True):
        stub = light.graph.initializer.add(name=weight.name, data_type=weight.data_type, dims=weight.dims)
        stub.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", data_path.name), ("offset", offset), ("length", declared_bytes(weight))):
            stub.external_data.add(key=key, value=str(value))
    write_file(path, light.SerializeToString())
    return [path, data_path]


def _write_weights(weights: list[onnx.TensorProto], path: Path) -> list[int]:
    """Write the weights one after another; returns where each begins."""
    offsets = []
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                for weight in weights:
                    stream.write(b"\0" * (-stream.tell() % _ALIGNMENT_BYTES))
                    offsets.append(stream.tell())
                    stream.write(content(weight))
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
    return offsets
