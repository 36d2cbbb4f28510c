"""What each kind of compression that ``inspect`` can see is worth in TensorRT. Read in its documentation; not measured here."""

from __future__ import annotations

COMPRESSION_WORTH = {
    "unstructured-sparsity": "no speed-up in TensorRT: its kernels multiply scattered zeros too; only the download shrinks",
    "2:4-sparsity": "TensorRT has kernels for it on GPUs of compute capability 8.0 and later (Orin, Thor), which edgekit "
    "lets it try; how much they gain depends on the layers, so it is measured",
    "masked-structured": "no speed-up until the zero channels are removed from the graph",
    "factorized": "fewer operations in float; small ranks may be too narrow for integer kernels",
    "clustered": "no speed-up: the weights are expanded and computed with as they are",
    "quantized-residue": "runs as float as it stands; int8 weights fit the values it already has",
    "shared-weights": "stay shared in the file; the engine stores them as each kernel wants them",
    "duplicated-weights": "merged in the file before it is built",
    "quantized": "Q/DQ of int8 around 0 is kept as it is, and computed in int8; other forms are refused",
}
