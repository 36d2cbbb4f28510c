"""What each kind of compression that ``inspect`` can see is worth in OpenVINO on a CPU (measured on x86-64, one thread)."""

from __future__ import annotations

COMPRESSION_WORTH = {
    "unstructured-sparsity": "no speed-up in OpenVINO on CPU at 50, 70 or 90 % zeros, with its sparse-weights option neither "
    "(measured); only the download shrinks",
    "2:4-sparsity": "no speed-up in OpenVINO on CPU; it needs an accelerator with 2:4 sparse units",
    "masked-structured": "not faster until the zero channels are removed from the graph, with kept counts rounded up to 16",
    "factorized": "gains in float; under dynamic int8 the gain mostly vanished",
    "clustered": "no speed-up: the weights are expanded and run as float; for size, int8 is better",
    "quantized-residue": "runs as float as it stands; int8 weights fit the values it already has",
    "shared-weights": "stay shared in OpenVINO and in what edgekit writes",
    "duplicated-weights": "OpenVINO stores equal weights once; edgekit merges them before it builds",
    "quantized": "run as it is; the placement of another tool's quantizers suits OpenVINO less well than its own, so compare with "
    "--baseline",
}
