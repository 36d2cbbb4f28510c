from __future__ import annotations

from edgekit.testing.conformance import TargetConformance


class TestTensorRT(TargetConformance):
    entry_point = "edgekit_tensorrt.target:TARGET"
    vendor_modules = ("tensorrt", "tensorrt_rtx", "onnx", "onnxruntime", "numpy")
    simulated_with = ("onnxruntime",)
