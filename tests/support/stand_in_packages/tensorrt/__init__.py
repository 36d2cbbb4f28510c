"""A stand-in for TensorRT's Python package and CUDA's runtime library: the documented calls, computed by ONNX Runtime.

On a stand-in Jetson's ``PYTHONPATH``. Which release it plays stands in the file that ``STAND_IN_CONFIG`` names, as for its trtexec;
before 8.5 it has only the calls that go by number. Engines are those of the stand-in's trtexec.
"""

import ctypes
import enum
import json
import os

import numpy as np

with open(os.environ["STAND_IN_CONFIG"]) as _stream:
    _CONFIG = json.load(_stream)
__version__ = _CONFIG["tensorrt"] + ".99"
_VERSION = tuple(map(int, _CONFIG["tensorrt"].split(".")))


# ---------------------------------------------------------------- CUDA's runtime library
class _Cudart:
    """Device memory is this process's own."""

    def __init__(self):
        self.memory = {}

    def cudaMalloc(self, pointer, size):
        if _CONFIG.get("cuda_out_of_memory"):
            return 2
        block = (ctypes.c_char * size.value)()
        pointer._obj.value = ctypes.addressof(block)
        self.memory[ctypes.addressof(block)] = block
        return 0

    def cudaFree(self, pointer):
        del self.memory[pointer.value]  # twice is an error
        return 0

    def cudaStreamCreate(self, stream):
        stream._obj.value = 0x1234
        return 0

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        device = source if kind.value == 2 else target
        assert size.value <= len(self.memory[device.value]), "beyond the block"
        ctypes.memmove(target, source, size.value)
        return 0

    def cudaDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {75: 8, 76: 7}[attribute.value]
        return 0

    def cudaStreamSynchronize(self, stream):
        return 0

    cudaStreamDestroy = cudaStreamSynchronize


_CUDART, _PLAIN = _Cudart(), ctypes.CDLL
ctypes.CDLL = lambda name, *more, **named: _CUDART if str(name).startswith("libcudart") else _PLAIN(name, *more, **named)


# ---------------------------------------------------------------- the package
class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class IProfiler:
    pass


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    if _VERSION >= (9,):
        STRONGLY_TYPED = 1


class BuilderFlag(enum.Enum):
    FP16, INT8, TF32, SPARSE_WEIGHTS = range(4)


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


def nptype(dtype):
    return dtype


class _TimingCache:
    def __init__(self, known):
        self._known = known

    def serialize(self):
        return self._known + b"timed"


class _Config:
    def __init__(self):
        self.flags = {BuilderFlag.TF32}
        self.profiles, self.pool = [], None

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def create_timing_cache(self, known):
        return _TimingCache(known)

    def set_timing_cache(self, cache, ignore_mismatch):
        return True

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)

    if _VERSION >= (8, 4):

        def set_memory_pool_limit(self, pool, size):
            self.pool = size


class _Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, *bounds):
        self.shapes[name] = bounds


class _Network:
    def __init__(self, flags):
        self.flags, self.model = flags, b""


class OnnxParser:
    def __init__(self, network, logger):
        self._network, self.num_errors = network, 0

    def parse_from_file(self, path):
        if _CONFIG.get("refused_operators"):
            self.num_errors = 1
            return False
        with open(path, "rb") as stream:
            self._network.model = stream.read()
        return True

    def get_error(self, index):
        return "In node 0 (importX): UNSUPPORTED_NODE: no importer"


class Builder:
    def __init__(self, logger):
        self._logger = logger

    def create_network(self, flags):
        return _Network(flags)

    def create_builder_config(self):
        return _Config()

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        if _CONFIG.get("out_of_memory"):
            self._logger.log(ILogger.Severity.ERROR, "Error Code 2: OutOfMemory (Requested size was 8589934592 bytes.)")
            return None
        strong = bool(network.flags & 2)
        flags = sorted(flag.name for flag in config.flags)
        profiles = [{name: list(map(list, bounds)) for name, bounds in profile.shapes.items()} for profile in config.profiles]
        head = {"stand_in": True, "tensorrt": _CONFIG["tensorrt"], "board": _CONFIG["board"], "flags": flags, "strong": strong,
                "profiles": profiles, "explicit": bool(network.flags & 1)}  # fmt: skip
        return json.dumps(head).encode() + b"\n" + network.model


class Runtime:
    def __init__(self, logger):
        self._logger = logger

    def deserialize_cuda_engine(self, plan):
        head, _, model = plan.partition(b"\n")
        found = json.loads(head)
        return _Engine(found, model) if (found["tensorrt"], found["board"]) == (_CONFIG["tensorrt"], _CONFIG["board"]) else None


class _Engine:
    def __init__(self, head, model):
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.log_severity_level, settings.intra_op_num_threads = 3, 1
        self.session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        self.bounds = {name: bounds for profile in head.get("profiles", []) for name, bounds in profile.items()}
        self.tensors = {}
        for each in [*self.session.get_inputs(), *self.session.get_outputs()]:
            dtype = np.dtype({"float": "float32", "double": "float64"}.get(each.type[7:-1], each.type[7:-1]))
            self.tensors[each.name] = np.dtype("int32") if dtype == np.int64 and _VERSION < (10,) else dtype

    def create_execution_context(self):
        return _Context(self)

    if _VERSION >= (8, 5):

        @property
        def num_io_tensors(self):
            return len(self.tensors)

        def get_tensor_name(self, index):
            return list(self.tensors)[index]

        def get_tensor_dtype(self, name):
            return self.tensors[name]

    if _VERSION < (10,):

        @property
        def num_bindings(self):
            return len(self.tensors)

        def get_binding_name(self, index):
            return list(self.tensors)[index]

        def get_binding_dtype(self, index):
            return list(self.tensors.values())[index]


class _Context:
    profiler = None

    def __init__(self, engine):
        self._engine, self._shapes, self._results = engine, {}, {}
        self._addresses = {}

    def _set(self, name, shape):
        bounds = self._engine.bounds.get(name)
        if bounds and not all(low <= size <= high for low, size, high in zip(bounds[0], shape, bounds[2])):
            return False
        self._shapes[name] = tuple(shape)
        return True

    def _shape(self, name):
        if name in self._shapes:
            return self._shapes[name]
        session = self._engine.session  # the shape of a result is that of zeros put in
        given = {i.name: np.zeros(self._shapes[i.name], _fed(i)) for i in session.get_inputs()}
        return session.run([name], given)[0].shape

    def _execute(self):
        session, engine = self._engine.session, self._engine
        feeds = {}
        for each in session.get_inputs():
            shape, dtype = self._shapes[each.name], engine.tensors[each.name]
            size = int(np.prod(shape, dtype=int)) * dtype.itemsize
            raw = ctypes.string_at(self._addresses[each.name], size)
            feeds[each.name] = np.frombuffer(raw, dtype).reshape(shape).astype(_fed(each))
        for name, value in zip([output.name for output in session.get_outputs()], session.run(None, feeds)):
            raw = np.ascontiguousarray(value.astype(engine.tensors[name])).tobytes()
            ctypes.memmove(self._addresses[name], raw, len(raw))
        if self.profiler is not None:
            self.profiler.report_layer_time("/conv/Conv + /relu/Relu", 1.5)
            self.profiler.report_layer_time("/fc/Gemm", 0.5)
        return True

    if _VERSION >= (8, 5):

        def set_input_shape(self, name, shape):
            return self._set(name, shape)

        def get_tensor_shape(self, name):
            return self._shape(name)

        def set_tensor_address(self, name, address):
            self._addresses[name] = address
            return True

        def execute_async_v3(self, stream):
            return self._execute()

    if _VERSION < (10,):

        def set_binding_shape(self, index, shape):
            return self._set(list(self._engine.tensors)[index], shape)

        def get_binding_shape(self, index):
            return self._shape(list(self._engine.tensors)[index])

        def execute_async_v2(self, bindings, stream):
            self._addresses = dict(zip(self._engine.tensors, bindings))
            return self._execute()


def _fed(each):
    return np.dtype({"float": "float32", "double": "float64"}.get(each.type[7:-1], each.type[7:-1]))
