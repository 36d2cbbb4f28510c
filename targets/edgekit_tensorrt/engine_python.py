"""Runs an engine through TensorRT's Python package; ``engine_cuda`` moves the memory.

A guest file: it is copied to the device, imports the standard library and numpy, is handed the package, and keeps to Python 3.8.
Both of the package's interfaces are used: bindings by number (8.0 to 8.4) and tensors by name (8.5 on).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edgekit_tensorrt import engine_trtexec
else:  # beside this file on the device
    import engine_trtexec

PROFILED_RUNS = 20


def version_of(trt: Any) -> tuple[int, int, int]:
    """Of the package: its first three numbers."""
    numbers = [int(part) if part.isdigit() else 0 for part in [*str(trt.__version__).split("."), "0", "0", "0"][:3]]
    return numbers[0], numbers[1], numbers[2]


def logger_of(trt: Any) -> Any:
    """A logger that keeps the errors (``errors``); they go to stderr as well, and what is less is dropped."""

    class Logger(trt.ILogger):  # type: ignore[misc]  # the package's own base
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(str(message)[:500])
                sys.stderr.write("TensorRT: %s\n" % message)

    return Logger()


class PythonEngine:
    """One engine in this process. ``run`` copies in, computes and copies out, and returns when all of it is done.

    Args:
        trt: the package.
        cuda: a :class:`engine_cuda.Cuda`.
        plan, built, options: as for :class:`engine_trtexec.TrtexecEngine`.
    """

    def __init__(self, trt: Any, cuda: Any, plan: str, built: dict[str, Any], options: dict[str, Any]) -> None:
        self._cuda = cuda
        self._version = version_of(trt)
        self._runtime = trt.Runtime(logger_of(trt))
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
        for _ in range(PROFILED_RUNS):
            self.run(self._last)
        rows = [
            {"name": name, "op": "", "time_s": sum(values), "n": len(values), "runs": PROFILED_RUNS}
            for name, values in times.items()
        ]
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
