"""A CPU in the place of the GPU: runs the artifact's ONNX in ONNX Runtime, every operator as it is written.

A guest file. Rounding to int8 and to float16 is that of the graph; the order of additions, fusions and the precision inside a
kernel are the CPU's. It shows what the formats cost in quality, and nothing about speed.
"""

from __future__ import annotations

from typing import Any


class Session:
    """One loaded model. options: ``entry`` (the ONNX file), ``threads`` (default 1); others are for the GPU."""

    def __init__(self, files: dict[str, str], options: dict[str, Any]) -> None:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads = int(options.get("threads", 1))
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        # Q/DQ and casts must be computed as they stand: fused, the CPU's own integer kernels would have a say.
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session: Any = ort.InferenceSession(files[options["entry"]], settings, providers=["CPUExecutionProvider"])
        self._names = [value.name for value in self._session.get_outputs()]
        self._inputs = [value.name for value in self._session.get_inputs()]
        #: What is in force.
        self.effective = {"runtime": "onnxruntime", "version": ort.__version__, "simulates": "TensorRT", "threads": 1}

    def run(self, feeds: dict[str, Any]) -> dict[str, Any]:
        """{input name: array} to {output name: array}."""
        return dict(zip(self._names, self._session.run(self._names, {name: feeds[name] for name in self._inputs})))  # noqa: B905

    def layers(self) -> None:
        """A CPU's times say nothing about a GPU's."""
        return

    def close(self) -> None:
        self._session = None
