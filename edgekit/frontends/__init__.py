"""Frontends: one file format each, turned into the normalised ONNX that everything else works on."""
