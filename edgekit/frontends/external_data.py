"""Weights in a file beside the model. Paths and sizes come from the model file and are distrusted.

A data file must be a regular file inside the model's folder, reached without a symbolic link and not shared by a hard link:
anything else could make edgekit read, hash and pack a file that the sender of the model was never meant to see. Offsets and
lengths are checked against the file before a byte is read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import onnx

from ..errors import ModelError
from .graph import all_tensors
from .tensors import declared_bytes, is_external, type_name

_CHUNK_BYTES = 1 << 20
_HINT = "keep the model and its data files together in one folder, as the exporter wrote them"


@dataclass(frozen=True)
class Extent:
    """Where one tensor's bytes are: a path relative to the model's folder, and a range that lies within that file."""

    location: str
    offset: int
    length: int


def check_external_data(proto: onnx.ModelProto, folder: Path) -> dict[str, int]:
    """Check every external tensor; returns {location: size of that file in bytes}.

    Raises:
        ModelError: a file is missing, lies outside ``folder``, or is smaller than the model says.
    """
    sizes: dict[str, int] = {}
    for _, tensor in all_tensors(proto):
        if not is_external(tensor):
            continue
        location = _entries(tensor).get("location", "")
        if location not in sizes:
            handle = _open(folder, location, tensor.name)
            try:
                sizes[location] = os.fstat(handle).st_size
            finally:
                os.close(handle)
        _extent(tensor, sizes[location])
    return sizes


def external_digest(tensor: onnx.TensorProto, folder: Path) -> str:
    """sha256 of an external tensor's bytes, streamed."""
    total = hashlib.sha256()
    for chunk in _chunks(tensor, folder):
        total.update(chunk)
    return total.hexdigest()


def load_external_data(proto: onnx.ModelProto, folder: Path) -> None:
    """Put the bytes of every external tensor into ``proto``, which then stands alone."""
    for _, tensor in all_tensors(proto):
        if is_external(tensor):
            tensor.raw_data = b"".join(_chunks(tensor, folder))
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")


def _chunks(tensor: onnx.TensorProto, folder: Path) -> Iterator[bytes]:
    location = _entries(tensor).get("location", "")
    with os.fdopen(_open(folder, location, tensor.name), "rb") as stream:
        extent = _extent(tensor, os.fstat(stream.fileno()).st_size)
        stream.seek(extent.offset)
        left = extent.length
        while left:
            chunk = stream.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise ModelError(f"external data file {location!r} became shorter while it was read", hint=_HINT)
            left -= len(chunk)
            yield chunk


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _extent(tensor: onnx.TensorProto, file_bytes: int) -> Extent:
    entries = _entries(tensor)
    location = entries.get("location", "")
    if type_name(tensor.data_type) == "STRING":
        raise ModelError(f"tensor {tensor.name!r} keeps text in external data", why="ONNX allows numbers only there")
    needed = declared_bytes(tensor)
    offset = _number(entries["offset"], "offset", tensor.name) if "offset" in entries else 0
    length = _number(entries["length"], "length", tensor.name) if "length" in entries else needed
    if length != needed:
        raise ModelError(
            f"external data of tensor {tensor.name!r} have the wrong length",
            why=f"its shape {list(tensor.dims)} needs {needed} bytes, the model declares {length}",
            hint="export the model again",
        )
    if offset + length > file_bytes:
        raise ModelError(
            f"external data file {location!r} is too small",
            why=f"tensor {tensor.name!r} is said to end at byte {offset + length}, the file has {file_bytes}",
            hint="the file may be cut off; copy or export it again",
        )
    return Extent(location, offset, length)


def _number(text: str, key: str, tensor_name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ModelError(f"external data of tensor {tensor_name!r} have a bad {key}", why=f"{text[:40]!r} is not a number of bytes")
    return int(text)


def _open(folder: Path, location: str, tensor_name: str) -> int:
    """A descriptor of the data file, opened one folder at a time so that no link is followed on the way."""
    parts = _safe_parts(location, tensor_name)
    handle = _open_step(None, str(folder), os.O_DIRECTORY, location)
    try:
        for part in parts[:-1]:
            inner = _open_step(handle, part, os.O_DIRECTORY | os.O_NOFOLLOW, location)
            os.close(handle)
            handle = inner
        # O_NONBLOCK: a FIFO of that name must not block us before we can see that it is one.
        data = _open_step(handle, parts[-1], os.O_NOFOLLOW | os.O_NONBLOCK, location)
    finally:
        os.close(handle)
    status = os.fstat(data)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(data)
        kind = "a hard link to a file elsewhere" if stat.S_ISREG(status.st_mode) else "not a regular file"
        raise ModelError(f"external data file {location!r} is refused", why=f"it is {kind}", hint=f"{_HINT}; make a plain copy")
    return data


def _open_step(parent: int | None, name: str, flags: int, location: str) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=parent)
    except FileNotFoundError as problem:
        raise ModelError(
            f"external data file {location!r} is missing", why="the model keeps weights there", hint=_HINT
        ) from problem
    except OSError as problem:  # ELOOP or ENOTDIR: a symbolic link; EACCES: not ours to read
        why = problem.strerror or str(problem)
        if _is_link(parent, name):
            why = "it is, or lies behind, a symbolic link"
        raise ModelError(f"external data file {location!r} is refused", why=why, hint=f"{_HINT}; make a plain copy") from problem


def _is_link(parent: int | None, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except OSError:  # a name that is too long, a folder that is not ours to look into: the reason is told already
        return False


def _safe_parts(location: str, tensor_name: str) -> list[str]:
    if not location:
        raise ModelError(f"tensor {tensor_name!r} is said to be in another file that is not named", hint="export the model again")
    windows = PureWindowsPath(location)
    parts = location.replace("\\", "/").split("/")
    if "\0" in location or windows.drive or windows.root or location.startswith("/") or ".." in parts:
        raise ModelError(
            f"external data of tensor {tensor_name!r} lie outside the model's folder",
            why=f"location {location[:200]!r}",
            hint=_HINT,
        )
    parts = [part for part in parts if part not in ("", ".")]
    if not parts:
        raise ModelError(f"external data of tensor {tensor_name!r} have no file name", why=f"location {location[:200]!r}")
    return parts
