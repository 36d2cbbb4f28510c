"""What each kind of compression that ``inspect`` can see is worth in ONNX Runtime on a CPU (measured on x86-64, one thread)."""

from __future__ import annotations

COMPRESSION_WORTH = {
    "unstructured-sparsity": "no speed-up in ONNX Runtime on CPU at 50, 70 or 90 % zeros (measured); only the download shrinks",
    "2:4-sparsity": "no speed-up in ONNX Runtime on CPU; it needs an accelerator with 2:4 sparse units",
    "masked-structured": "not faster until the zero channels are removed, with kept counts rounded up to 16; "
    "removed unaligned, one net became slower (6.6 -> 8.7 ms; aligned 5.3 ms)",
    "factorized": "gains in float; under dynamic int8 the gain mostly vanished",
    "clustered": "no speed-up: the weights are expanded and run as float; for size, int8 is better",
    "quantized-residue": "runs as float as it stands; int8 weights fit the values it already has",
    "shared-weights": "stay shared in ONNX Runtime and in what edgekit writes",
    "duplicated-weights": "ONNX Runtime does not merge copies; edgekit does before it builds",
    "quantized": "run as it is; whether it beats float depends on the operators: compare with --baseline",
}
