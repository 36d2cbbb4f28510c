"""Reading ``.npy`` and ``.npz`` a sample at a time, trusting nothing that the file says about itself.

``numpy.load`` reads an archive's member whole; a calibration set may be larger than memory. Sizes are checked against the bytes
that are there before anything is allocated; pickles are never opened.
"""

from __future__ import annotations

import contextlib
import lzma
import math
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from .errors import DataError

if TYPE_CHECKING:
    from typing import IO

    from .types import Array

MAX_SAMPLE_BYTES = 1 << 30
MAX_MEMBERS = 1000
_DEFLATE_BEST = 1032  # no deflate stream expands further than this
_READ_ERRORS = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError)


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Maps what a broken or unreadable file raises to a DataError that names it."""
    try:
        yield
    except _READ_ERRORS as problem:
        why = problem.strerror if isinstance(problem, OSError) and problem.strerror else " ".join(str(problem).split())[:200]
        raise DataError(f"cannot read {name}", why=why or type(problem).__name__, hint="write the file again") from problem


class ArrayStream:
    """One array in ``.npy`` format, read from the front.

    Attributes:
        shape, dtype: as declared by the header; ``dtype`` in this machine's byte order.
    """

    def __init__(self, stream: IO[bytes], size_bytes: int, name: str) -> None:
        """``size_bytes`` is what ``stream`` holds. Raises DataError if the header and that size disagree, or for pickles."""
        self._stream = stream
        self._name = name
        with reading(name):
            version = np.lib.format.read_magic(cast("BinaryIO", stream))
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"array format version {version[0]}.{version[1]} is not known")
            read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            self.shape, self._fortran_order, self._stored_dtype = read_header(cast("BinaryIO", stream))
            header_bytes = stream.tell()
        if self._stored_dtype.hasobject or self._stored_dtype.fields is not None or any(size < 0 for size in self.shape):
            raise DataError(
                f"{name} holds no plain array",
                why=f"its dtype is {self._stored_dtype}; pickled objects and records are never opened",
            )
        declared = math.prod(self.shape) * self._stored_dtype.itemsize
        if declared != size_bytes - header_bytes:
            raise DataError(
                f"{name} is broken",
                why=f"its header promises {declared} bytes of data, {size_bytes - header_bytes} are there",
                hint="write the file again",
            )
        self.dtype = self._stored_dtype.newbyteorder("=")

    def samples(self, wanted: Callable[[int], bool] = lambda _: True) -> Iterator[Array]:
        """Those of ``x[0], x[1], ...`` along axis 0 whose index is wanted, one at a time in memory."""
        if not self.shape:
            raise DataError(f"{self._name} is a single number", why="axis 0 must be the samples")
        if self._fortran_order and len(self.shape) > 1:
            raise DataError(
                f"{self._name} is stored in Fortran order",
                why="its samples are not in one piece",
                hint="save numpy.ascontiguousarray(x)",
            )
        for index in range(self.shape[0]):
            if wanted(index):
                yield self._take(self.shape[1:])
            else:
                self._skip(math.prod(self.shape[1:]) * self._stored_dtype.itemsize)
        self._expect_end()

    def whole(self) -> Array:
        array = self._take(self.shape[::-1] if self._fortran_order else self.shape)
        self._expect_end()
        return np.asarray(array.T if self._fortran_order else array, order="C")

    def _take(self, shape: tuple[int, ...]) -> Array:
        size_bytes = math.prod(shape) * self._stored_dtype.itemsize
        if size_bytes > MAX_SAMPLE_BYTES:
            raise DataError(f"one sample of {self._name} has {size_bytes} bytes", why=f"at most {MAX_SAMPLE_BYTES} are taken")
        buffer = bytearray(size_bytes)
        view = memoryview(buffer)
        with reading(self._name):
            while view:
                passed = cast("BinaryIO", self._stream).readinto(view)  # type: ignore[attr-defined]
                if not passed:
                    raise EOFError("it ends too early")
                view = view[passed:]
        array: Array = np.ndarray(shape, dtype=self._stored_dtype, buffer=buffer)
        return array.astype(self.dtype, copy=False)

    def _skip(self, size_bytes: int) -> None:
        with reading(self._name):
            while size_bytes > 0:
                passed = len(self._stream.read(min(size_bytes, 1 << 20)))
                if passed == 0:
                    raise EOFError("it ends too early")
                size_bytes -= passed

    def _expect_end(self) -> None:
        with reading(self._name):
            if self._stream.read(1):  # reading past the end is also what makes zipfile compare the checksum
                raise ValueError("there is more data than the header promises")


class Archive:
    """A ``.npz`` file opened for streaming; a context manager.

    Attributes:
        members: array names, in the file's order.
    """

    def __init__(self, path: Path, name: str, *, of_tensors: bool = False) -> None:
        """``name`` is what messages call it. Raises DataError for a broken archive and for unsafe entries.

        ``of_tensors``: members are named after a model's tensors, which may look like absolute paths (``/model/Add_output_0``).
        Nothing is ever unpacked to a path.
        """
        self._name = name
        with reading(name):
            self._zip = zipfile.ZipFile(path)
        try:
            self._entries = _checked_entries(self._zip, name, of_tensors=of_tensors)
        except BaseException:
            self._zip.close()
            raise
        self.members = tuple(self._entries)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @contextlib.contextmanager
    def open(self, member: str) -> Iterator[ArrayStream]:
        entry = self._entries[member]
        with reading(f"{member!r} in {self._name}"):
            stream = self._zip.open(entry)
        with stream:
            yield ArrayStream(stream, entry.file_size, f"{member!r} in {self._name}")

    def read(self, member: str) -> Array:
        with self.open(member) as stream:
            return stream.whole()


def _checked_entries(archive: zipfile.ZipFile, name: str, *, of_tensors: bool) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    if len(archive.infolist()) > MAX_MEMBERS:
        raise DataError(f"{name} has over {MAX_MEMBERS} members")
    for entry in archive.infolist():
        path = entry.filename
        member = path.removesuffix(".npy")
        mode = entry.external_attr >> 16
        problem = ""
        leaves = path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/")
        if leaves and not of_tensors:
            problem = "its path leaves the archive"
        elif mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
            problem = "it is not a regular file"
        elif entry.flag_bits & 1:
            problem = "it is encrypted"
        elif member == path:
            problem = "it is not a .npy array"
        elif member in entries:
            problem = "it is there twice"
        elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problem = "its compression is not numpy's"
        elif entry.file_size > entry.compress_size * _DEFLATE_BEST + 1024:
            problem = f"{entry.compress_size} bytes cannot unpack to the {entry.file_size} it declares"
        if problem:
            raise DataError(f"{path!r} in {name} is refused", why=problem, hint="write the archive with numpy.savez")
        entries[member] = entry
    return entries


def read_npy(path: Path, name: str) -> Array:
    """The array of a ``.npy`` file; DataError for anything but a plain, whole array."""
    with reading(name):
        stream = path.open("rb")
    with stream:
        return ArrayStream(stream, path.stat().st_size, name).whole()
