"""Device side of the ``null`` target: the model in ONNX's own reference evaluator (numpy), and misbehaviour on request.

A guest file: standard library, numpy and onnx only; Python 3.8.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator


def fingerprint() -> dict[str, Any]:
    """The runtime: ONNX's reference evaluator."""
    return {"runtime": "onnx.reference", "version": onnx.__version__}


class Session:
    """One loaded model. ``options``: ``entry`` names the settings file (see ``null_target.py``); ``threads`` is not used."""

    def __init__(self, files: dict[str, str], options: dict[str, Any]) -> None:
        settings = json.loads(Path(files[options["entry"]]).read_text(encoding="utf-8"))
        self._behaviour = settings["behaviour"]
        self._delay_s = float(settings["delay_s"])
        self._evaluator = ReferenceEvaluator(files[settings["model"]])
        self._inputs = list(self._evaluator.input_names)
        self._outputs = list(self._evaluator.output_names)
        #: What is in force: the evaluator has no threads of its own, and the delay is part of every latency.
        self.effective = {**fingerprint(), "threads": 1, "behaviour": self._behaviour, "delay_s": self._delay_s}

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """{input name: array} to {output name: array}; takes at least the candidate's delay."""
        time.sleep(self._delay_s)
        _misbehave(self._behaviour)
        values = self._evaluator.run(None, {name: feeds[name] for name in self._inputs})
        outputs = {name: np.asarray(value) for name, value in zip(self._outputs, values)}  # noqa: B905 - Python 3.8 has no strict
        return {name: _wrong(value) for name, value in outputs.items()} if self._behaviour == "disagree" else outputs

    def layers(self) -> None:
        """Nothing is timed by operator."""

    def close(self) -> None:
        """Nothing is held."""


def _misbehave(behaviour: str) -> None:
    if behaviour == "crash":
        os.abort()
    if behaviour == "error":
        raise RuntimeError("the null runtime fails on request")
    if behaviour == "out-of-memory":
        raise MemoryError("the null runtime runs out of memory on request")
    if behaviour == "hang":
        time.sleep(3600)


def _wrong(value: Any) -> Any:
    """Another answer: floats change sign and place, whole numbers change by one."""
    if value.dtype == bool:
        return ~value
    if np.issubdtype(value.dtype, np.number):
        return np.roll(-value, 1).astype(value.dtype) if np.issubdtype(value.dtype, np.floating) else value + value.dtype.type(1)
    return value
