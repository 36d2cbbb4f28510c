"""Builds an engine through TensorRT's Python package.

A guest file: it is copied to the device, imports the standard library alone, is handed the package, and keeps to Python 3.8.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Sequence

if TYPE_CHECKING:
    from edgekit_tensorrt import engine_python, trtexec_flags, trtexec_run
else:  # beside this file on the device
    import engine_python
    import trtexec_flags
    import trtexec_run


def build(trt: Any, model: str, plan: str, options: dict[str, Any], memory_pool_bytes: int | None, timing_cache: str | None,
          emit: Callable[[str], None]) -> dict[str, Any]:  # fmt: skip
    """Build ``plan`` from ``model`` with the package ``trt``; see :func:`engine_trtexec.build`.

    Raises:
        RuntimeError: the parser or the builder refuses; the text holds its first words.
    """
    version = engine_python.version_of(trt)
    trtexec_flags.check_version(version)
    flags, typing = trtexec_flags.typing_flags(version, options)
    logger = engine_python.logger_of(trt)
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
