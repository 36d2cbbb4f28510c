"""Builds and runs an engine with trtexec alone, where TensorRT's Python package is not there.

A guest file: it is copied to the device on its own, imports the standard library and numpy alone, and keeps to Python 3.8.

Every call starts trtexec, which loads the engine anew: that takes seconds, so inferences are few and timing is trtexec's own.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Any, Callable, Sequence

import numpy as np

if TYPE_CHECKING:
    from edgekit_tensorrt import trtexec_flags, trtexec_run, trtexec_text
else:  # beside this file on the device
    import trtexec_flags
    import trtexec_run
    import trtexec_text

RUN_TIMEOUT_S = 280.0  # below the agent's own for one round, so that the reason is told
SHORTEST_RUN_S = 0.2  # beside the seconds that a start takes, a shorter one saves nothing
PROFILED_RUNS = 50
WARM_UP_S = 0.2
_STARTED = re.compile(r"^Starting inference")
_ENDED = re.compile(r"^Timing trace has (\d+) queries|^=== Trace details")


def build(tool: trtexec_flags.Tool, model: str, plan: str, options: dict[str, Any], memory_pool_bytes: int | None,
          timing_cache: str | None, emit: Callable[[str], None]) -> dict[str, Any]:  # fmt: skip
    """Build ``plan`` from ``model``.

    Returns:
        How it was built: settings, arguments, seconds.

    Raises:
        MemoryError, RuntimeError: see :func:`trtexec_run.must_pass`.
    """
    flags, settings = trtexec_flags.build_flags(tool, options, memory_pool_bytes, timing_cache)

    def follow(line: str) -> None:
        stage = trtexec_text.parse_stage(line)
        if stage is not None:
            emit(stage)

    argv = [tool.path, "--onnx=%s" % model, "--saveEngine=%s" % plan, *flags]
    finished = trtexec_run.must_pass(trtexec_run.run(argv, None, follow), "building the engine")
    if not os.path.isfile(plan) or os.path.getsize(plan) == 0:
        raise RuntimeError("trtexec passed but wrote no engine; is the disk full?")
    return {"builder": "trtexec", "flags": flags, "build_s": round(finished.elapsed_s, 3), **settings}


class TrtexecEngine:
    """One engine, run by trtexec.

    Args:
        plan: the engine.
        built: what :func:`build` said of it.
        options: of the runner: ``inputs`` and ``outputs`` (``[{name, dtype, shape}]``), ``shapes``, ``cuda_graph``.
    """

    def __init__(self, tool: trtexec_flags.Tool, plan: str, built: dict[str, Any], options: dict[str, Any]) -> None:
        self._tool = tool
        self._plan = plan
        self._inputs = {str(spec["name"]): spec for spec in options["inputs"]}
        self._outputs = {str(spec["name"]): spec for spec in options["outputs"]}
        self._dynamic = set(options.get("shapes") or {})
        self._timing, timing = trtexec_flags.timing_settings(tool, cuda_graph=bool(options.get("cuda_graph", False)))
        self._scratch = tempfile.mkdtemp(prefix="edgekit-trtexec-")
        self._feeds: dict[str, Any] | None = None
        self.loop = "trtexec %d.%d" % tool.version[:2]
        self.details: dict[str, Any] = {}
        self.effective: dict[str, Any] = {
            "runtime": "tensorrt", "version": tool.text, "runs_in": "trtexec", "threads": 1, "engine": built, **timing,
            "latency": "host to device, compute, device to host: added up from the GPU's clock",
            "outputs": "printed with six significant digits",
        }  # fmt: skip

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """{input: array} to {output: array}; a new trtexec each time."""
        self._feeds = feeds
        path = os.path.join(self._scratch, "outputs.json")
        finished = self._start(feeds, ["--iterations=1", "--warmUp=0", "--duration=0", "--exportOutput=%s" % path])
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                found = trtexec_text.parse_outputs(stream.read())
        except OSError as problem:
            raise RuntimeError("trtexec wrote no outputs: %s" % trtexec_run.last_words(finished)) from problem
        missing = [name for name in self._outputs if name not in found]
        if missing:
            raise RuntimeError("trtexec's outputs have no readable %r" % missing[0])
        return {name: _as_array(found[name], str(spec["dtype"])) for name, spec in self._outputs.items()}

    def bench(self, feeds: dict[str, Any], *, duration_s: float, min_n: int, max_n: int, settle_n: int) -> list[float]:  # noqa: ARG002
        """Seconds of each inference that trtexec timed, at most ``max_n``, evenly spaced; it warms up by itself.

        ``details`` then holds the medians of their parts.
        """
        self._feeds = feeds
        path = os.path.join(self._scratch, "times.json")
        duration_s = max(duration_s, SHORTEST_RUN_S)
        flags = [
            "--warmUp=%d" % round(WARM_UP_S * 1e3),
            "--duration=%g" % duration_s,
            "--iterations=%d" % min_n,
            "--exportTimes=%s" % path,
        ]
        self._start(feeds, flags)
        with open(path, encoding="utf-8", errors="replace") as stream:
            queries = trtexec_text.parse_times(stream.read(), WARM_UP_S)
        if not queries:
            raise RuntimeError("trtexec exported no times")
        self.details = {
            "h2d_s": statistics.median(query.h2d_s for query in queries),
            "compute_s": statistics.median(query.compute_s for query in queries),
            "d2h_s": statistics.median(query.d2h_s for query in queries),
        }
        step = -(-len(queries) // max_n)
        return [query.latency_s for query in queries[::step]]

    def work(self, feeds: dict[str, Any], *, duration_s: float) -> dict[str, Any]:
        """Inferences for ``duration_s`` while a meter is read: how many, and from when to when they ran (``time.monotonic``).

        Starting trtexec and loading the engine lie before ``start_s``.
        """
        marks: dict[str, float] = {}

        def follow(line: str) -> None:
            said = trtexec_text.message(line)[1]
            if _STARTED.match(said):
                marks["start"] = time.monotonic()
            elif _ENDED.match(said):
                marks.setdefault("end", time.monotonic())

        path = os.path.join(self._scratch, "work.json")
        self._start(feeds, ["--warmUp=0", "--duration=%g" % duration_s, "--iterations=1", "--exportTimes=%s" % path], follow)
        if "start" not in marks or "end" not in marks:
            raise RuntimeError("trtexec does not say when its inferences began and ended")
        with open(path, encoding="utf-8", errors="replace") as stream:
            n = len(trtexec_text.parse_times(stream.read(), 0.0))
        return {"n": n, "start_s": marks["start"], "end_s": marks["end"]}

    def layers(self) -> list[dict[str, Any]] | None:
        """Seconds a layer, slowest first, from a run of its own: profiling slows every layer down."""
        if self._feeds is None:
            return None
        path = os.path.join(self._scratch, "profile.json")
        self._start(self._feeds, ["--warmUp=0", "--duration=0", "--iterations=%d" % PROFILED_RUNS, "--exportProfile=%s" % path])
        with open(path, encoding="utf-8", errors="replace") as stream:
            rows = trtexec_text.parse_profile(stream.read())
        return sorted(
            ({"name": row.name, "op": "", "time_s": row.time_s, "n": row.n, "runs": row.n} for row in rows),
            key=lambda row: -row["time_s"],
        )

    def close(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(
        self, feeds: dict[str, Any], flags: Sequence[str], on_line: Callable[[str], None] | None = None
    ) -> trtexec_run.Finished:
        argv = [self._tool.path, "--loadEngine=%s" % self._plan, *self._timing, *flags]
        loads, shapes = [], {}
        for index, (name, spec) in enumerate(self._inputs.items()):
            if name not in feeds:
                raise ValueError("input %r is missing" % name)
            array = as_binding(np.asarray(feeds[name]), str(spec["dtype"]), self._tool.version)
            path = os.path.join(self._scratch, "input%d.bin" % index)
            array.tofile(path)
            loads.append("%s:%s" % (trtexec_flags.plain(name), path))
            if name in self._dynamic:
                shapes[name] = array.shape
        argv.append("--loadInputs=%s" % ",".join(loads))
        if shapes:
            argv.append("--shapes=%s" % trtexec_flags.shape_list(shapes))
        return trtexec_run.must_pass(trtexec_run.run(argv, RUN_TIMEOUT_S, on_line), "running the engine")


def as_binding(array: Any, dtype: str, version: Sequence[int]) -> Any:
    """A feed as the engine takes it: contiguous, of the declared dtype; floats of 64 bits have 32, integers before TensorRT 10 too.

    Raises:
        ValueError: another dtype, or a number that 32 bits do not hold.
    """
    if str(array.dtype) != dtype:
        raise ValueError("an input must be %s, not %s" % (dtype, array.dtype))
    if dtype == "float64":  # the parser makes float32 of it
        array = array.astype(np.float32)
    if dtype == "int64" and tuple(version) < (10, 0):
        narrow = array.astype(np.int32)
        if not np.array_equal(narrow, array):
            raise ValueError("an input has numbers that do not fit into the 32 bits that this TensorRT computes with")
        array = narrow
    return np.ascontiguousarray(array).reshape(array.shape)  # of a scalar, contiguous makes a list of one


def _as_array(output: trtexec_text.Output, dtype: str) -> Any:
    values = np.asarray(output.values, np.float64).reshape(output.shape)
    return values.astype(dtype)
