"""Builds and runs an engine through TensorRT's Python package; memory is moved by CUDA's runtime library through ctypes.

A guest file: it is copied to the device, imports the standard library and numpy, is handed the package, and keeps to Python 3.8.
Both of the package's interfaces are used: bindings by number (8.0 to 8.4) and tensors by name (8.5 on).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Any, Callable, Sequence

import numpy as np

if TYPE_CHECKING:
    from edgekit_tensorrt import engine_trtexec, trtexec_flags, trtexec_run
else:  # beside this file on the device
    import engine_trtexec
    import trtexec_flags
    import trtexec_run

CUDA_LIBRARIES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2")
HOST_TO_DEVICE = 1
DEVICE_TO_HOST = 2
_COMPUTE_CAPABILITY = (75, 76)  # cudaDevAttrComputeCapabilityMajor, -Minor


class CudaError(RuntimeError):
    """CUDA refuses something; the text is its own."""


class Cuda:
    """The few calls of CUDA's runtime that moving memory takes.

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


def version_of(trt: Any) -> tuple[int, int, int]:
    """Of the package: its first three numbers."""
    numbers = [int(part) if part.isdigit() else 0 for part in [*str(trt.__version__).split("."), "0", "0", "0"][:3]]
    return numbers[0], numbers[1], numbers[2]


# ---------------------------------------------------------------- build
def build(trt: Any, model: str, plan: str, options: dict[str, Any], memory_pool_bytes: int | None, timing_cache: str | None,
          emit: Callable[[str], None]) -> dict[str, Any]:  # fmt: skip
    """Build ``plan`` from ``model`` with the package ``trt``; see :func:`engine_trtexec.build`.

    Raises:
        RuntimeError: the parser or the builder refuses; the text holds its first words.
    """
    version = version_of(trt)
    trtexec_flags.check_version(version)
    flags, typing = trtexec_flags.typing_flags(version, options)
    logger = _Logger.of(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt, version, typing))
    parser = trt.OnnxParser(network, logger)
    emit("reading the model")
    if not parser.parse_from_file(model):
        said = "; ".join(str(parser.get_error(index)) for index in range(min(3, parser.num_errors)))
        raise RuntimeError("TensorRT's ONNX parser refuses the model: %s" % said[:1500])
    config = builder.create_builder_config()
    settings = {
        "typing": typing,
        "precision": options.get("precision", "float32"),
        **_configure(trt, config, flags, options, memory_pool_bytes),
    }
    _add_profile(builder, config, options.get("shapes") or {})
    cache = _timing_cache(config, timing_cache)
    emit("building the engine: this may take many minutes")
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        said = "; ".join(logger.errors[:3]) or "it says nothing"
        if trtexec_run.NO_MEMORY.search(said):
            raise MemoryError("TensorRT's builder ran out of memory: %s; end other programs that use the GPU, or add swap" % said)
        raise RuntimeError("TensorRT's builder gave no engine: %s" % said)
    with open(plan, "wb") as stream:
        stream.write(memoryview(serialized))
    if cache is not None and timing_cache is not None:
        _write_aside(timing_cache, bytes(memoryview(cache.serialize())))
        settings["timing_cache"] = True
    emit("engine built")
    return {"builder": "tensorrt (Python)", **settings}


class _Logger:
    """Keeps the errors; what is worse than a note goes to stderr."""

    @staticmethod
    def of(trt: Any) -> Any:
        class Logger(trt.ILogger):  # type: ignore[misc]  # the package's own base
            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.errors: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                    self.errors.append(str(message)[:500])
                    sys.stderr.write("TensorRT: %s\n" % message)

        return Logger()


def _network_flags(trt: Any, version: Sequence[int], typing: str) -> int:
    flags = trt.NetworkDefinitionCreationFlag
    value = 0
    if tuple(version) < (10, 0):
        value |= 1 << int(flags.EXPLICIT_BATCH)
    if typing == "strong" and hasattr(flags, "STRONGLY_TYPED"):
        value |= 1 << int(flags.STRONGLY_TYPED)
    return value


def _configure(
    trt: Any, config: Any, flags: Sequence[str], options: dict[str, Any], memory_pool_bytes: int | None
) -> dict[str, Any]:
    for flag, name in (("--fp16", "FP16"), ("--int8", "INT8")):
        if flag in flags:
            config.set_flag(getattr(trt.BuilderFlag, name))
    tf32 = bool(options.get("tf32", False))
    if not tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    sparsity = options.get("sparsity", "disable")
    if sparsity == "enable":
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    if memory_pool_bytes is not None:
        if hasattr(config, "set_memory_pool_limit"):
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, memory_pool_bytes)
        else:  # before 8.4
            config.max_workspace_size = memory_pool_bytes
    return {"tf32": tf32, "sparsity": sparsity, "memory_pool_bytes": memory_pool_bytes}


def _add_profile(builder: Any, config: Any, shapes: dict[str, Any]) -> None:
    if shapes:
        profile = builder.create_optimization_profile()
        for name, spec in shapes.items():
            profile.set_shape(name, tuple(spec["min"]), tuple(spec["opt"]), tuple(spec["max"]))
        config.add_optimization_profile(profile)


def _timing_cache(config: Any, path: str | None) -> Any:
    if path is None or not hasattr(config, "create_timing_cache"):
        return None
    try:
        with open(path, "rb") as stream:
            known = stream.read()
    except OSError:
        known = b""
    cache = config.create_timing_cache(known)
    return cache if cache is not None and config.set_timing_cache(cache, False) else None


def _write_aside(path: str, data: bytes) -> None:
    part = "%s.%d.part" % (path, os.getpid())
    with open(part, "wb") as stream:
        stream.write(data)
    os.replace(part, path)


# ---------------------------------------------------------------- run
class PythonEngine:
    """One engine in this process. ``run`` copies in, computes and copies out, and returns when all of it is done.

    Args:
        trt: the package.
        cuda: moves the memory.
        plan, built, options: as for :class:`engine_trtexec.TrtexecEngine`.
    """

    def __init__(self, trt: Any, cuda: Any, plan: str, built: dict[str, Any], options: dict[str, Any]) -> None:
        self._cuda = cuda
        self._version = version_of(trt)
        self._runtime = trt.Runtime(_Logger.of(trt))
        with open(plan, "rb") as stream:
            self._engine = self._runtime.deserialize_cuda_engine(stream.read())
        if self._engine is None:
            raise RuntimeError(
                "TensorRT does not load the engine; it was built by another version or for another GPU: build it anew"
            )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise MemoryError("TensorRT gives no execution context: the GPU is out of memory; end other programs that use it")
        self._by_name = hasattr(self._engine, "num_io_tensors")
        self._inputs = {str(spec["name"]): str(spec["dtype"]) for spec in options["inputs"]}
        self._outputs = {str(spec["name"]): str(spec["dtype"]) for spec in options["outputs"]}
        self._names = self._tensor_names()
        self._dtypes = {name: np.dtype(trt.nptype(self._dtype_of(name))) for name in self._names}
        self._buffers: dict[str, tuple[int, int]] = {}  # {tensor: (address, bytes)}
        self._stream = cuda.stream()
        self._profiler: Any = None
        self._trt = trt
        self._last: dict[str, Any] | None = None
        self.effective: dict[str, Any] = {
            "runtime": "tensorrt", "version": str(trt.__version__), "runs_in": "python", "threads": 1, "engine": built,
            "data_transfers": True, "cuda_graph": False, "spin_wait": True,
            "latency": "host memory to host memory, by the host's clock",
        }  # fmt: skip

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """{input: array} to {output: array}; outputs are the caller's own."""
        self._last = feeds
        for name, dtype in self._inputs.items():
            if name not in feeds:
                raise ValueError("input %r is missing" % name)
            if name not in self._dtypes:  # the graph does not use it, and the builder has left it out
                continue
            array = engine_trtexec.as_binding(np.asarray(feeds[name]), dtype, self._version).astype(self._dtypes[name], copy=False)
            self._set_shape(name, array.shape)
            self._cuda.copy_in(self._buffer(name, array.nbytes), array, self._stream)
        results = {name: np.empty(self._shape_of(name), self._dtypes[name]) for name in self._outputs}
        for name, array in results.items():
            self._buffer(name, array.nbytes)
        if not self._enqueue():
            raise RuntimeError("TensorRT refuses the inference: do the shapes lie within those that the engine was built for?")
        for name, array in results.items():
            self._cuda.copy_out(array, self._buffers[name][0], self._stream)
        self._cuda.wait(self._stream)
        return {name: array.astype(self._outputs[name], copy=False) for name, array in results.items()}

    def layers(self) -> list[dict[str, Any]] | None:
        """Seconds a layer, slowest first, from runs of their own with the package's profiler: it slows every layer down."""
        if self._last is None:
            return None
        trt = self._trt
        times: dict[str, list[float]] = {}

        class Profiler(trt.IProfiler):  # type: ignore[misc,name-defined]  # the package's own base
            def __init__(self) -> None:
                trt.IProfiler.__init__(self)

            def report_layer_time(self, layer_name: str, ms: float) -> None:
                times.setdefault(layer_name, []).append(ms * 1e-3)

        self._context.profiler = self._profiler = Profiler()  # the context does not keep it alive
        for _ in range(20):
            self.run(self._last)
        rows = [{"name": name, "op": "", "time_s": sum(values), "n": len(values)} for name, values in times.items()]
        return sorted(rows, key=lambda row: -float(str(row["time_s"])))

    def close(self) -> None:
        for address, _ in self._buffers.values():
            self._cuda.free(address)
        self._buffers = {}
        self._cuda.destroy(self._stream)
        self._context = self._engine = None

    # ------------------------------------------------------------ the two interfaces
    def _tensor_names(self) -> list[str]:
        if self._by_name:
            return [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        return [self._engine.get_binding_name(index) for index in range(self._engine.num_bindings)]

    def _dtype_of(self, name: str) -> Any:
        return self._engine.get_tensor_dtype(name) if self._by_name else self._engine.get_binding_dtype(self._names.index(name))

    def _set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        done = (
            self._context.set_input_shape(name, shape)
            if self._by_name
            else self._context.set_binding_shape(self._names.index(name), shape)
        )
        if done is False:
            raise ValueError("input %r may not have the shape %s: the engine was built for others" % (name, list(shape)))

    def _shape_of(self, name: str) -> tuple[int, ...]:
        shape = self._context.get_tensor_shape(name) if self._by_name else self._context.get_binding_shape(self._names.index(name))
        if any(size < 0 for size in shape):
            raise RuntimeError("output %r has a shape that depends on its values, which this runner does not support" % name)
        return tuple(shape)

    def _enqueue(self) -> bool:
        if self._by_name:
            for name, (address, _) in self._buffers.items():
                self._context.set_tensor_address(name, address)
            return bool(self._context.execute_async_v3(self._stream))
        addresses = [self._buffers[name][0] if name in self._buffers else 0 for name in self._names]
        return bool(self._context.execute_async_v2(addresses, self._stream))

    def _buffer(self, name: str, size_bytes: int) -> int:
        address, has_bytes = self._buffers.get(name, (0, -1))
        if has_bytes < size_bytes:
            if has_bytes >= 0:
                self._cuda.free(address)
            address = self._cuda.malloc(size_bytes)
            self._buffers[name] = (address, size_bytes)
        return address
