"""Device side: runs a ``.tflite`` model on the CPU.

A guest file: it is copied to the device on its own, imports only the standard library, numpy and a TensorFlow Lite runtime, and
keeps to Python 3.8. The runtime is the first that is there of ``ai_edge_litert``, ``tflite_runtime`` and TensorFlow's own.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import warnings
from typing import Any

import numpy as np

#: Modules with the interpreter, the best first, and the package whose version counts.
RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite.python.interpreter", "tensorflow"),
)
#: The vendor's own tool, which alone tells the times of single operators; used where it is on the PATH.
PROFILER = "benchmark_model"
PROFILER_TIMEOUT_S = 120.0
PROFILED_RUNS = 20


def fingerprint() -> dict[str, Any]:
    """What a build on this device would depend on: the runtime and its version."""
    package, version, _ = _runtime()
    return {"runtime": package, "version": version}


class Session:
    """One loaded model. Its shapes are fixed: feeds of several samples run one after the other.

    Args:
        files: {path relative to the artifact: absolute path here}.
        options: ``entry`` (relative path of the model; needed when there are several), ``threads`` (default 1), ``xnnpack`` (bool,
            default true: the optimized kernels), ``batch_axes`` ({tensor: axis of the samples}, where the model takes any number
            of them), ``layers`` (bool: tell the times of operators, where the vendor's tool is on the PATH).
    """

    def __init__(self, files: dict[str, str], options: dict[str, Any]) -> None:
        self._path = files[options.get("entry") or _only_model(files)]
        self._threads = int(options.get("threads", 1))
        self._xnnpack = bool(options.get("xnnpack", True))
        self._batch_axes: dict[str, int] = dict(options.get("batch_axes") or {})
        self._layers = bool(options.get("layers", False))
        package, version, module = _runtime()
        before = _n_threads()
        self._interpreter: Any = _interpreter(module, self._path, self._threads, self._xnnpack)
        self._interpreter.allocate_tensors()
        self._inputs, self._outputs = _tensors(self._interpreter)
        is_delegated, started = _is_delegated(self._interpreter), _n_threads() - before
        #: What is in force, as far as the runtime shows: XNNPACK's threads are there by now; those of other kernels start later.
        self.effective = {
            "runtime": package,
            "version": version,
            "threads": 1 + max(started, 0) if is_delegated else self._threads,
            "xnnpack": is_delegated,
        }

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """{input name: array} to {output name: array}. The arrays must have the declared dtypes; they are not converted."""
        for name, details in self._inputs.items():
            if name not in feeds:
                raise ValueError("input %r is missing" % name)
            if feeds[name].dtype != details["dtype"]:
                raise ValueError("input %r must be %s, not %s" % (name, np.dtype(details["dtype"]), feeds[name].dtype))
        fits = all(tuple(feeds[name].shape) == tuple(details["shape"]) for name, details in self._inputs.items())
        return self._run_one(feeds) if fits else self._run_samples(feeds)

    def _run_one(self, feeds: dict[str, Any]) -> dict[str, Any]:
        interpreter = self._interpreter
        for name, details in self._inputs.items():
            interpreter.set_tensor(details["index"], feeds[name])
        interpreter.invoke()
        return {name: interpreter.get_tensor(details["index"]) for name, details in self._outputs.items()}

    def _run_samples(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """Each sample by itself: the model is built for one."""
        counts = {feeds[name].shape[axis] for name, axis in self._batch_axes.items() if name in self._inputs}
        if len(counts) != 1:
            raise ValueError("the model is built for %s" % self._shapes())
        results = []
        for index in range(counts.pop()):
            sample = {name: self._sample(name, feeds[name], index) for name in self._inputs}
            results.append(self._run_one(sample))
        if not results:
            return {name: self._empty(name, details) for name, details in self._outputs.items()}
        return {name: self._joined(name, [result[name] for result in results]) for name in self._outputs}

    def _sample(self, name: str, array: Any, index: int) -> Any:
        axis = self._batch_axes.get(name)
        sample = array if axis is None else np.take(array, [index], axis=axis)
        if tuple(sample.shape) != tuple(self._inputs[name]["shape"]):
            raise ValueError("input %r is %s; the model is built for %s" % (name, tuple(array.shape), self._shapes()))
        return sample

    def _joined(self, name: str, arrays: list[Any]) -> Any:
        axis = self._batch_axes.get(name)
        return arrays[-1] if axis is None else np.concatenate(arrays, axis=axis)

    def _empty(self, name: str, details: dict[str, Any]) -> Any:
        shape = [int(size) for size in details["shape"]]
        if name in self._batch_axes:
            shape[self._batch_axes[name]] = 0
        return np.zeros(shape, details["dtype"])

    def _shapes(self) -> str:
        return ", ".join("%s %s" % (name, tuple(int(n) for n in details["shape"])) for name, details in self._inputs.items())

    def layers(self) -> list[dict[str, Any]] | None:
        """Seconds an operator in one inference, slowest first: [{name, op, time_s, n, runs: 1}], from inferences of the tool's own;
        None without ``layers`` or where the tool is not there.
        """
        tool = shutil.which(PROFILER) if self._layers else None
        if tool is None:
            return None
        done = subprocess.run(
            [
                tool,
                "--graph=%s" % self._path,
                "--num_threads=%d" % self._threads,
                "--use_xnnpack=%s" % str(self._xnnpack).lower(),
                "--num_runs=%d" % PROFILED_RUNS,
                "--enable_op_profiling=true",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROFILER_TIMEOUT_S,
            check=False,
        )
        return read_profile(done.stdout.decode("utf-8", "replace")) or None

    def close(self) -> None:
        self._interpreter = None


def read_profile(text: str) -> list[dict[str, Any]]:
    """The operators in what ``benchmark_model --enable_op_profiling=true`` prints, slowest first; empty where it has no such table.

    The tool prints the table of the initialization first, then that of the runs; the last one in run order counts. Columns are
    found by their headings: older releases have one more, [start].
    """
    rows: dict[str, dict[str, Any]] = {}
    columns: list[str] = []
    is_run_order = False
    for line in text.splitlines():
        if line.strip().startswith("===="):
            title = line.strip("= \t").lower()
            is_run_order, columns = title == "run order", []
            if is_run_order:
                rows = {}
        elif is_run_order and not columns and "[avg ms]" in line:
            columns = [heading.strip(" []\t") for heading in line.split("]")][:-1]
        elif columns:
            row = _profile_row(columns, line)
            if row is None:
                is_run_order, columns = False, []
                continue
            known = rows.setdefault(row["name"], dict(row, time_s=0.0, n=0))
            known["time_s"] += row["time_s"]
            known["n"] += row["n"]
    return sorted(rows.values(), key=lambda row: (-row["time_s"], row["name"]))


def _profile_row(columns: list[str], line: str) -> dict[str, Any] | None:
    cells = [cell.strip() for cell in line.strip().split("\t")]
    if len(cells) != len(columns):
        return None
    found = dict(zip(columns, cells))  # noqa: B905 - Python 3.8 has no strict
    try:
        n = max(1, int(found.get("times called", "1")))
        average_ms = float(found["avg ms"])
    except (KeyError, ValueError):
        return None
    name, _, index = found.get("Name", "").rpartition(":")
    name = name if index.isdigit() else found.get("Name", "")
    # A name in brackets is the operator's output tensor, or several.
    return {"name": name.strip("[]"), "op": found.get("node type", ""), "time_s": average_ms * 1e-3 * n, "n": n, "runs": 1}


def _only_model(files: dict[str, str]) -> str:
    models = [name for name in files if name.endswith(".tflite")]
    if len(models) != 1:
        raise ValueError("option 'entry' must say which of %d files is the model" % len(models))
    return models[0]


def _runtime() -> tuple[str, str, Any]:
    """The package that is there, its version, and the module with its ``Interpreter``."""
    for name, package in RUNTIMES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return package, _version(package, name), module
    raise ImportError("no TensorFlow Lite runtime is installed: %s" % " or ".join(package for _, package in RUNTIMES))


def _version(package: str, module: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # installed by the system under another name
        return str(getattr(importlib.import_module(module.partition(".")[0]), "__version__", "unknown"))


def _interpreter(module: Any, path: str, threads: int, xnnpack: bool) -> Any:
    options: dict[str, Any] = {"model_path": path, "num_threads": threads}
    resolvers = getattr(module, "OpResolverType", None)
    if not xnnpack:
        if resolvers is None:
            raise ValueError("this runtime cannot leave XNNPACK out")
        options["experimental_op_resolver_type"] = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own says that it will move to another package
        return module.Interpreter(**options)


def _tensors(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """{name: details} of the inputs and of the outputs: by the names of the model's signature where it has one, else by tensor."""
    inputs = {details["name"]: details for details in interpreter.get_input_details()}
    outputs = {details["name"]: details for details in interpreter.get_output_details()}
    signatures: Any = getattr(interpreter, "get_signature_list", dict)()
    if len(signatures) != 1:
        return inputs, outputs
    by_index = {details["index"]: details for details in (*inputs.values(), *outputs.values())}
    runner = interpreter.get_signature_runner(next(iter(signatures)))
    return _by_name(runner.get_input_details(), by_index), _by_name(runner.get_output_details(), by_index)


def _by_name(described: dict[str, Any], by_index: dict[int, Any]) -> dict[str, Any]:
    return {name: by_index.get(details["index"], details) for name, details in described.items()}


def _is_delegated(interpreter: Any) -> bool:
    """Whether the default delegate (XNNPACK) computes at least a part of the model."""
    operators: Any = getattr(interpreter, "_get_ops_details", list)()
    return any(str(operator.get("op_name", "")).upper() == "DELEGATE" for operator in operators)


def _n_threads() -> int:
    """The threads of this process, where that can be told (Linux)."""
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
