"""Device side: builds an engine from ONNX on this very GPU, and runs it.

A guest file: it is copied to the device with the others beside it, imports the standard library, TensorRT only where it is used,
and keeps to Python 3.8.

An engine fits one GPU and one version of TensorRT. It is built by ``prepare`` and loaded from where the agent keeps what was built
here (``built/``); one that came from elsewhere is never loaded.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from edgekit_tensorrt import engine_cuda, engine_python, engine_python_build, engine_trtexec, trtexec_run
else:  # beside this file on the device
    import engine_cuda
    import engine_python
    import engine_python_build
    import engine_trtexec
    import trtexec_run

PLAN = "engine.plan"
RECORD = "engine.json"
TIMING_CACHE = "timing.cache"
#: A layer's scratch memory gets at most this part of what is free: TensorRT holds the weights two or three times over beside it.
POOL_SHARE = 0.4


def fingerprint() -> dict[str, Any]:
    """What an engine depends on: TensorRT's version and the GPU. Of the board and its release only their own words are kept."""
    version, builder = "", ""
    trt = _package()
    if trt is not None:
        version, builder = str(trt.__version__), "python"
    path = trtexec_run.find()
    if path is not None:
        version, builder = trtexec_run.ask(path).text, "trtexec"
    return {
        "runtime": "tensorrt",
        "version": version or None,
        "builder": builder or None,
        "compute_capability": _compute_capability(),
        "board": _text("proc/device-tree/model"),
        "release": _text("etc/nv_tegra_release").partition(", GCID")[0],
    }


def prepare(files: dict[str, str], options: dict[str, Any], workdir: str, emit: Callable[[str], None]) -> None:
    """Build the engine for this GPU into ``workdir``, with trtexec, or with the Python package where that is not there.

    Args:
        files: {path in the artifact: path here}.
        options: ``entry`` (the ONNX file), ``precision`` (float32, float16, int8, int8+fp16), ``strongly_typed``, ``sparsity``
            (disable, enable), ``shapes`` (null, or {input: {min, opt, max}}), ``timing_cache``, ``memory_pool_bytes`` (null: a part
            of the free memory), ``tf32`` (default false: what is float32 is computed in float32), ``kept_folder`` (the agent's: it
            outlasts the build).

    Raises:
        ImportError: neither trtexec nor the package is there.
        MemoryError, RuntimeError: the build failed; the text says what, why and what to do.
    """
    if options.get("simulate"):
        return
    model, plan = files[options["entry"]], os.path.join(workdir, PLAN)
    keeps = options.get("timing_cache", True) and options.get("kept_folder")
    cache = os.path.join(options["kept_folder"], TIMING_CACHE) if keeps else None
    pool_bytes = _pool_bytes(options.get("memory_pool_bytes"))
    path, trt = trtexec_run.find(), _package()
    if path is not None:
        tool = trtexec_run.ask(path)
        emit("TensorRT %s, %s" % (tool.text, path))
        built = {"version": tool.text, **engine_trtexec.build(tool, model, plan, options, pool_bytes, cache, emit)}
    elif trt is not None:
        emit("TensorRT %s, its Python package" % trt.__version__)
        built = {"version": str(trt.__version__), **engine_python_build.build(trt, model, plan, options, pool_bytes, cache, emit)}
    else:
        raise _nothing_there()
    built["compute_capability"] = _compute_capability()
    with open(os.path.join(workdir, RECORD), "w", encoding="utf-8") as stream:
        json.dump(built, stream, sort_keys=True)


class Session:
    """One engine that was built here: in this process where TensorRT's Python package and CUDA's runtime are, else by trtexec.

    Args:
        files: {path in the artifact: path here}; what ``prepare`` made lies under ``built/``.
        options: as for ``prepare``; ``inputs`` and ``outputs`` ([{name, dtype, shape}]), ``cuda_graph`` (trtexec's runs only).
    """

    def __init__(self, files: dict[str, str], options: dict[str, Any]) -> None:
        self._engine: Any = _open(files, options)
        self.effective: dict[str, Any] = self._engine.effective
        #: The name of trtexec's loop where that does the timing; None: the agent times ``run``.
        self.loop: str | None = getattr(self._engine, "loop", None)

    @property
    def details(self) -> dict[str, Any]:
        """What the last ``bench`` measured beside latencies."""
        details: dict[str, Any] = getattr(self._engine, "details", {})
        return details

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        outputs: dict[str, Any] = self._engine.run(feeds)
        return outputs

    def bench(self, feeds: dict[str, Any], **limits: Any) -> list[float]:
        """Only where ``loop`` is set; see :meth:`engine_trtexec.TrtexecEngine.bench`."""
        samples: list[float] = self._engine.bench(feeds, **limits)
        return samples

    def work(self, feeds: dict[str, Any], *, duration_s: float) -> dict[str, Any]:
        """Only where ``loop`` is set; see :meth:`engine_trtexec.TrtexecEngine.work`."""
        done: dict[str, Any] = self._engine.work(feeds, duration_s=duration_s)
        return done

    def layers(self) -> list[dict[str, Any]] | None:
        rows: list[dict[str, Any]] | None = self._engine.layers()
        return rows

    def close(self) -> None:
        self._engine.close()


def _open(files: dict[str, str], options: dict[str, Any]) -> Any:
    if options.get("simulate"):
        return importlib.import_module("simulation").Session(files, options)
    plan, record = files.get("built/" + PLAN), files.get("built/" + RECORD)
    if plan is None or record is None:
        raise RuntimeError("there is no engine that was built on this device; engines from elsewhere are never loaded")
    with open(record, encoding="utf-8") as stream:
        built = json.load(stream)
    trt, path = _package(), trtexec_run.find()
    if trt is not None and _same(trt.__version__, built["version"]):
        try:
            cuda = engine_cuda.Cuda()
        except ImportError:
            if path is None:
                raise
        else:
            return engine_python.PythonEngine(trt, cuda, plan, built, options)
    if path is None:
        raise _nothing_there()
    tool = trtexec_run.ask(path)
    if not _same(tool.text, built["version"]):
        raise RuntimeError("the engine was built by TensorRT %s and this is %s: build it anew" % (built["version"], tool.text))
    return engine_trtexec.TrtexecEngine(tool, plan, built, options)


def _same(version: str, other: str) -> bool:
    """trtexec tells three numbers, the package four."""
    return str(version).split(".")[:3] == str(other).split(".")[:3]


def _package() -> Any:
    """TensorRT's Python package, or ``None``."""
    try:
        return importlib.import_module("tensorrt")
    except ImportError:
        return None


def _nothing_there() -> ImportError:
    return ImportError(
        "TensorRT is not on this device: neither trtexec (on the PATH, or %s) nor the Python package tensorrt; "
        "install it with JetPack: sudo apt-get install nvidia-jetpack" % trtexec_run.USUAL_PATH
    )


def _pool_bytes(asked: int | None) -> int | None:
    available = trtexec_run.available_bytes()
    bound = None if available is None else int(available * POOL_SHARE)
    known = [size for size in (asked, bound) if size is not None]
    return min(known) if known else None


def _compute_capability() -> str | None:
    """What CUDA says; ``None`` where its runtime library is not there or finds no GPU."""
    try:
        return engine_cuda.Cuda().compute_capability()
    except (ImportError, RuntimeError, MemoryError, AttributeError):
        return None


def _text(path: str) -> str:
    """The printable text of a small file of the system's; empty where there is none."""
    try:
        with open(os.path.join(trtexec_run.root(), path), encoding="utf-8", errors="replace") as stream:
            return re.sub(r"[^ -~]+", "", stream.read(400)).strip()
    except OSError:
        return ""
