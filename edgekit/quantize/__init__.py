"""Calibration and quantization that edgekit does itself: statistics of activations, ranges, where Q/DQ goes, and what each costs.

Pure of any vendor: models are ONNX, and ONNX Runtime runs them. Targets hand in a placement policy, which is data.
"""
