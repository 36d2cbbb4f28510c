"""ONNX Runtime sessions for looking into a float model on the host: all optimisations that change no value, nothing printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..frontends.onnx_session import plain_reason

if TYPE_CHECKING:
    import onnx

#: Above this the weights are handed over in a file that the runtime maps, instead of three copies in memory.
_IN_MEMORY_BYTES = 256_000_000


def open_session(model: onnx.ModelProto, *, threads: int) -> Any:
    """An ``onnxruntime.InferenceSession`` of ``model`` on the CPU, without an arena, so that memory stays what one feed needs.

    Q/DQ pairs are computed as they stand (no fusion into integer kernels): they simulate.

    Raises:
        ModelError: ONNX Runtime does not load it.
    """
    import onnxruntime

    from ..frontends.onnx_save import save
    from ..frontends.tensors import declared_bytes
    from ..state import work_folder

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    size = sum(declared_bytes(tensor) for tensor in model.graph.initializer)
    try:
        if size <= _IN_MEMORY_BYTES:
            return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        with work_folder() as folder:
            path = save(model, folder / "model.onnx", external_over_bytes=0)[0]
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (MemoryError, OSError):
        raise
    except Exception as problem:  # the runtime's exceptions have no common base class
        raise ModelError("ONNX Runtime does not load the model with its quantized forms", why=plain_reason(problem)) from problem


def run_session(session: Any, outputs: Sequence[str], values: Mapping[str, Any]) -> list[Any]:
    """The values of ``outputs``.

    Raises:
        ModelError: ONNX Runtime fails on it; for want of memory, for example, which rounded forms need beside the exact ones.
    """
    try:
        return list(session.run(list(outputs), dict(values)))
    except Exception as problem:  # the runtime's exceptions have no common base class
        raise ModelError("the model does not run with its quantized forms", why=plain_reason(problem)) from problem
