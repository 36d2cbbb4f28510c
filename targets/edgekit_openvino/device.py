"""Device side: runs an OpenVINO model (IR) on the CPU.

A guest file: it is copied to the device on its own, imports only the standard library, numpy and openvino, and keeps to Python 3.8.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Iterator

# The package sends an event when it is imported, and keeps an identifier in the home folder; without this one it does neither.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import numpy as np  # noqa: E402
import openvino as ov  # noqa: E402

#: Numpy names of OpenVINO's element types.
DTYPES = {
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "i64": "int64",
    "i32": "int32",
    "i16": "int16",
    "i8": "int8",
    "u64": "uint64",
    "u32": "uint32",
    "u16": "uint16",
    "u8": "uint8",
    "boolean": "bool",
}
#: Integers that the CPU computes with 32 bits.
WIDE_INTEGERS = {"i64": np.int32, "u64": np.uint32}
#: What is read back from the compiled model: the name here, and the property.
PROPERTIES = {
    "inference_precision": "INFERENCE_PRECISION_HINT",
    "threads": "INFERENCE_NUM_THREADS",
    "streams": "NUM_STREAMS",
    "performance_hint": "PERFORMANCE_HINT",
    "dynamic_quantization_group_size": "DYNAMIC_QUANTIZATION_GROUP_SIZE",
    "cpu_pinning": "ENABLE_CPU_PINNING",
    "layers": "PERF_COUNT",
}
#: The same shapes so many times in a row are taken for the usual ones.
USUAL_AFTER = 3
#: Inferences after which the runtime has all the threads that it wants.
THREADS_START_WITHIN = 3


def fingerprint() -> dict[str, Any]:
    """What a build on this device would depend on: the runtime, and the precisions that the processor computes in."""
    core = ov.Core()
    return {
        "runtime": "openvino",
        "version": ov.__version__,
        "processor": str(core.get_property("CPU", "FULL_DEVICE_NAME")),
        "capabilities": sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
    }


class Session:
    """One loaded model.

    A model with free dimensions runs in general code; OpenVINO's code for fixed shapes is up to three times as fast. So shapes that
    come several times in a row are compiled for, once, during the call that completes the row, and used whenever they come again.

    Args:
        files: {path relative to the artifact: absolute path here}.
        options: ``entry`` (relative path of the ``.xml``; needed when there are several), ``threads`` (default 1), ``streams``
            (default 1), ``performance_hint`` (latency, throughput, cumulative_throughput or none), ``inference_precision`` (f32,
            bf16 or f16: of what is not quantized; default f32), ``dynamic_quantization_group_size`` (default 0: activations stay
            float), ``fixed_shapes`` (how many shapes to compile for beside the general code; default 2), ``layers`` (bool: time
            every operation; slows inference down).
    """

    def __init__(self, files: dict[str, str], options: dict[str, Any]) -> None:
        self._own_threads: set[str] = set()
        self._core = ov.Core()
        self._config = _config(options)
        self._model: Any = self._core.read_model(files[options.get("entry") or _only_model(files)])
        self._inputs = [(_name(port), port.get_element_type().get_type_name()) for port in self._model.inputs]
        self._outputs = [_name(port) for port in self._model.outputs]
        self._requests: dict[Any, Any] = {None: self._compile(None)}  # by the shapes they are for; None: any
        is_free = any(port.get_partial_shape().is_dynamic for port in self._model.inputs)
        self._max_fixed = int(options.get("fixed_shapes", 2)) if is_free else 0
        self._last_shapes: Any = None
        self._repeats = 0
        self._n_runs: dict[Any, int] = {}
        compiled = self._requests[None].get_compiled_model()
        #: What is in force, as far as the runtime says.
        self.effective = {
            "runtime": "openvino",
            "version": ov.__version__,
            "fixed_shapes": self._max_fixed,
            **{name: _plain(compiled.get_property(key)) for name, key in PROPERTIES.items()},
        }

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """{input name: array} to {output name: array}. The arrays must have the declared dtypes; they are not converted.

        Inputs are read where they lie, without a copy (a view that is not contiguous is copied). Outputs are the caller's own: a
        later call does not change them. Copying them costs less than the wrappers that share them.
        """
        arrays = [_checked(feeds, name, dtype) for name, dtype in self._inputs]
        key = self._request_for(tuple(array.shape for array in arrays))
        request = self._requests[key]
        for index, array in enumerate(arrays):
            request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
        self._n_runs[key] = n = self._n_runs.get(key, 0) + 1
        if n <= THREADS_START_WITHIN:
            with self._own_threads_stay_here():
                request.infer(share_outputs=True)
        else:
            request.infer(share_outputs=True)
        return {name: request.get_output_tensor(index).data.copy() for index, name in enumerate(self._outputs)}

    def layers(self) -> list[dict[str, Any]] | None:
        """Seconds an operation over all runs since loading, slowest first: [{name, op, time_s, n}]; None without ``layers``.

        Operations that were fused into others, or computed at load, are left out.
        """
        if not self.effective["layers"]:
            return None
        found: dict[str, dict[str, Any]] = {}
        for key, n in self._n_runs.items():
            for info in self._requests[key].get_profiling_info():
                if info.status != ov.ProfilingInfo.Status.EXECUTED:
                    continue
                row = found.setdefault(info.node_name, {"op": info.node_type, "time_s": 0.0, "n": 0})
                row["time_s"] += n * info.real_time.total_seconds()  # the runtime tells the mean of its runs
                row["n"] += n
        rows = [dict(name=name, **row) for name, row in found.items()]
        return sorted(rows, key=lambda row: (-row["time_s"], row["name"]))

    def close(self) -> None:
        self._requests = {}
        self._model = None

    def _request_for(self, shapes: Any) -> Any:
        """The key of the request to use: these shapes where they are compiled for (now, if they are the usual ones), or None."""
        self._repeats = self._repeats + 1 if shapes == self._last_shapes else 1
        self._last_shapes = shapes
        if shapes in self._requests:
            return shapes
        is_usual = self._repeats >= USUAL_AFTER and len(self._requests) <= self._max_fixed
        if not is_usual or any(0 in shape for shape in shapes):
            return None
        try:
            self._requests[shapes] = self._compile(shapes)
        except RuntimeError as problem:  # the general code goes on; nothing is wrong but the speed
            sys.stderr.write("no code for fixed shapes: %s\n" % problem)
            self._max_fixed = 0
            return None
        return shapes

    def _compile(self, shapes: Any) -> Any:
        model = self._model
        if shapes is not None:
            model = model.clone()
            model.reshape(dict(enumerate(ov.PartialShape(list(shape)) for shape in shapes)))
        with self._own_threads_stay_here():
            return self._core.compile_model(model, "CPU", self._config).create_infer_request()

    @contextlib.contextmanager
    def _own_threads_stay_here(self) -> Iterator[None]:
        """Threads that the runtime has started get the CPUs of the calling thread; by themselves they take all that there are.

        They do so as they begin to run, which may be after the call that started them. So this is done several times.
        """
        before = _threads()
        yield
        self._own_threads |= _threads() - before
        for thread in self._own_threads:
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                os.sched_setaffinity(int(thread), os.sched_getaffinity(0))


def _threads() -> set[str]:
    """The threads of this process, where they can be pinned (Linux)."""
    return set(os.listdir("/proc/self/task")) if hasattr(os, "sched_setaffinity") else set()


def _config(options: dict[str, Any]) -> dict[str, Any]:
    hint = str(options.get("performance_hint", "latency")).upper()
    config = {
        "INFERENCE_NUM_THREADS": int(options.get("threads", 1)),
        "NUM_STREAMS": int(options.get("streams", 1)),
        "INFERENCE_PRECISION_HINT": str(options.get("inference_precision", "f32")),
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": int(options.get("dynamic_quantization_group_size", 0)),
        "ENABLE_CPU_PINNING": False,  # where threads run is decided outside: by the agent, by taskset
        "PERF_COUNT": bool(options.get("layers", False)),
        "CACHE_DIR": "",
    }
    return config if hint == "NONE" else {**config, "PERFORMANCE_HINT": hint}


def _only_model(files: dict[str, str]) -> str:
    models = [name for name in files if name.endswith(".xml")]
    if len(models) != 1:
        raise ValueError("option 'entry' must say which of %d files is the model" % len(models))
    return models[0]


def _name(port: Any) -> str:
    """A port of an artifact has one name of its own; a tensor may have more, they sort the same everywhere."""
    name: str = min(port.get_names())
    return name


def _checked(feeds: dict[str, Any], name: str, element_type: str) -> Any:
    """The array for an input: contiguous, of the declared dtype, and representable by what the processor computes with."""
    if name not in feeds:
        raise ValueError("input %r is missing" % name)
    array = np.asarray(feeds[name])
    dtype = DTYPES.get(element_type)
    if dtype is not None and array.dtype != np.dtype(dtype):
        raise ValueError("input %r must be %s, not %s" % (name, dtype, array.dtype))
    narrow = WIDE_INTEGERS.get(element_type)
    if narrow is not None and not np.array_equal(array.astype(narrow), array):
        raise ValueError("input %r has values that do not fit into the 32 bits that OpenVINO computes with" % name)
    if not (array.flags.c_contiguous and array.flags.writeable):
        array = array.copy()
    return array


def _plain(value: Any) -> Any:
    """A property as plain JSON."""
    if isinstance(value, str):
        return {"YES": True, "NO": False}.get(value, value)
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, ov.Type):
        return value.get_type_name()
    return str(value)
