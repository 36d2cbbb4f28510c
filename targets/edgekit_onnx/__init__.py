"""The ``onnx`` target: ONNX Runtime on the CPU. ``target.py`` runs on the host, ``device.py`` on the device."""
