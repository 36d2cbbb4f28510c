"""Device side: runs an ONNX model with ONNX Runtime on the CPU.

A guest file: it is copied to the device on its own, imports only the standard library, numpy and onnxruntime, and keeps to
Python 3.8.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the runtime is loaded: it keeps a record in the home folder otherwise

import numpy as np
import onnxruntime as ort

LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}


def fingerprint() -> dict[str, Any]:
    """What a build on this device would depend on: the runtime and its providers."""
    return {"runtime": "onnxruntime", "version": ort.__version__, "providers": ort.get_available_providers()}


class Session:
    """One loaded model.

    Args:
        files: {path relative to the artifact: absolute path here}.
        options: ``entry`` (relative path of the model; needed when there are several files), ``threads`` (default 1),
            ``graph_optimization`` (none, basic, extended, all), ``allow_spinning`` (bool, default true), ``fold_weights`` (bool:
            dequantize constant weights once, at load), ``layers`` (bool: time every operator; slows inference down).
    """

    def __init__(self, files: dict[str, str], options: dict[str, Any]) -> None:
        entry = options.get("entry") or _only_model(files)
        level = str(options.get("graph_optimization", "all"))
        if level not in LEVELS:
            raise ValueError("graph_optimization must be one of %s, not %r" % (", ".join(sorted(LEVELS)), level))
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = int(options.get("threads", 1))
        settings.inter_op_num_threads = 1
        settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        settings.graph_optimization_level = LEVELS[level]
        settings.log_severity_level = 3
        spinning = bool(options.get("allow_spinning", True))
        settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
        if options.get("fold_weights"):
            settings.add_session_config_entry("session.disable_quant_qdq", "1")
        self._profile: str | None = None
        if options.get("layers"):
            self._profile = tempfile.mkdtemp(prefix="edgekit-profile-")
            settings.enable_profiling = True
            settings.profile_file_prefix = os.path.join(self._profile, "layers")
        try:
            self._session: Any = ort.InferenceSession(files[entry], settings, providers=["CPUExecutionProvider"])
        except BaseException:  # whoever is not made is not closed either
            self._remove_profile()
            raise
        self._dtypes = {value.name: DTYPES.get(value.type) for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]
        #: What is in force, as far as the runtime says.
        self.effective = {
            "runtime": "onnxruntime",
            "version": ort.__version__,
            "providers": self._session.get_providers(),
            "threads": self._session.get_session_options().intra_op_num_threads,
            "graph_optimization": level,
            "allow_spinning": spinning,
        }

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """{input name: array} to {output name: array}. The arrays must have the declared dtypes; they are not converted."""
        for name, dtype in self._dtypes.items():
            if name not in feeds:
                raise ValueError("input %r is missing" % name)
            if dtype is not None and feeds[name].dtype != np.dtype(dtype):
                raise ValueError("input %r must be %s, not %s" % (name, dtype, feeds[name].dtype))
        wanted = {name: np.asarray(feeds[name], order="C") for name in self._dtypes}
        return dict(zip(self._outputs, self._session.run(self._outputs, wanted)))  # noqa: B905 - Python 3.8 has no strict

    def layers(self) -> list[dict[str, Any]] | None:
        """Seconds an operator over all runs since loading, slowest first: [{name, op, time_s, n}]; None without ``layers``.

        Ends the recording: a second call gives None.
        """
        if self._profile is None:
            return None
        path = self._session.end_profiling()
        with open(path, encoding="utf-8") as stream:
            events = json.load(stream)
        self._remove_profile()
        return _by_operator(events)

    def close(self) -> None:
        if self._profile is not None:
            self._session.end_profiling()
            self._remove_profile()
        self._session = None

    def _remove_profile(self) -> None:
        if self._profile is not None:
            shutil.rmtree(self._profile, ignore_errors=True)
            self._profile = None


def _only_model(files: dict[str, str]) -> str:
    models = [name for name in files if name.endswith(".onnx")]
    if len(models) != 1:
        raise ValueError("option 'entry' must say which of %d files is the model" % len(files))
    return models[0]


def _by_operator(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        name = event.get("name", "")
        if event.get("cat") != "Node" or not name.endswith("_kernel_time"):
            continue
        row = found.setdefault(
            name[: -len("_kernel_time")], {"op": event.get("args", {}).get("op_name", ""), "time_s": 0.0, "n": 0}
        )
        row["time_s"] += event.get("dur", 0) * 1e-6
        row["n"] += 1
    rows = [dict(name=name, **row) for name, row in found.items()]
    return sorted(rows, key=lambda row: (-row["time_s"], row["name"]))
