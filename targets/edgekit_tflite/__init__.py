"""The ``tflite`` target plugin: LiteRT (TensorFlow Lite) on CPUs, quantization by ai-edge-quantizer."""
