"""The few calls of CUDA's runtime library that moving memory takes, through ctypes.

A guest file: it is copied to the device, imports the standard library alone, and keeps to Python 3.8.
"""

from __future__ import annotations

import ctypes
from typing import Any

CUDA_LIBRARIES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2")
HOST_TO_DEVICE = 1
DEVICE_TO_HOST = 2
_COMPUTE_CAPABILITY = (75, 76)  # cudaDevAttrComputeCapabilityMajor, -Minor


class CudaError(RuntimeError):
    """CUDA refuses something; the text is its own."""


class Cuda:
    """CUDA's runtime; all errors but those of memory are CudaError.

    Raises:
        ImportError: its library is not there.
    """

    def __init__(self) -> None:
        self._library = _load_cuda()

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code == 2:
            raise MemoryError("CUDA is out of memory (%s): end other programs that use the GPU" % name)
        if code != 0:
            self._library.cudaGetErrorString.restype = ctypes.c_char_p
            raise CudaError(
                "%s: %s (%d)" % (name, (self._library.cudaGetErrorString(code) or b"").decode("utf-8", "replace"), code)
            )

    def malloc(self, size_bytes: int) -> int:
        pointer = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(max(1, size_bytes)))
        return pointer.value or 0

    def free(self, pointer: int) -> None:
        self._call("cudaFree", ctypes.c_void_p(pointer))

    def stream(self) -> int:
        stream = ctypes.c_void_p()
        self._call("cudaStreamCreate", ctypes.byref(stream))
        return stream.value or 0

    def destroy(self, stream: int) -> None:
        self._call("cudaStreamDestroy", ctypes.c_void_p(stream))

    def copy_in(self, pointer: int, array: Any, stream: int) -> None:
        self._copy(ctypes.c_void_p(pointer), array.ctypes.data_as(ctypes.c_void_p), array.nbytes, HOST_TO_DEVICE, stream)

    def copy_out(self, array: Any, pointer: int, stream: int) -> None:
        self._copy(array.ctypes.data_as(ctypes.c_void_p), ctypes.c_void_p(pointer), array.nbytes, DEVICE_TO_HOST, stream)

    def _copy(self, target: Any, source: Any, size_bytes: int, kind: int, stream: int) -> None:
        self._call("cudaMemcpyAsync", target, source, ctypes.c_size_t(size_bytes), ctypes.c_int(kind), ctypes.c_void_p(stream))

    def wait(self, stream: int) -> None:
        self._call("cudaStreamSynchronize", ctypes.c_void_p(stream))

    def compute_capability(self) -> str:
        found = []
        for attribute in _COMPUTE_CAPABILITY:
            value = ctypes.c_int()
            self._call("cudaDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), ctypes.c_int(0))
            found.append(str(value.value))
        return ".".join(found)


def _load_cuda() -> Any:
    for name in (*CUDA_LIBRARIES, "/usr/local/cuda/lib64/libcudart.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise ImportError("CUDA's runtime library (libcudart) is not there: install it with JetPack or the CUDA toolkit")
