"""What each kind of compression that ``inspect`` can see is worth in LiteRT on a CPU (measured on x86-64, one thread)."""

from __future__ import annotations

COMPRESSION_WORTH = {
    "unstructured-sparsity": "no speed-up in LiteRT on CPU at 50, 70 or 90 % zeros, in 1x1 convolutions neither (measured); only "
    "the download shrinks",
    "2:4-sparsity": "no speed-up in LiteRT on CPU; it needs an accelerator with 2:4 sparse units",
    "masked-structured": "not faster until the zero channels are removed from the graph, with kept counts rounded up to 16",
    "factorized": "gains in float; under dynamic int8 the gain mostly vanished",
    "clustered": "no speed-up: the weights are expanded and run as float; for size, int8 is better",
    "quantized-residue": "runs as float as it stands; int8 weights fit the values it already has",
    "shared-weights": "the conversion to .tflite may store a matrix that is read in both directions once a direction",
    "duplicated-weights": "edgekit merges them before it converts",
    "quantized": "run as it is",
}
