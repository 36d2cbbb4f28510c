"""The ``openvino`` target plugin: Intel CPUs through OpenVINO, quantization by NNCF."""
