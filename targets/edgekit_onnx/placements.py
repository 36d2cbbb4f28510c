"""Where ONNX Runtime's integer kernels want Q/DQ, one table a kind of processor.

Common to all: weights int8 around zero with one scale a channel, activations asymmetric with one scale a tensor, biases int32.
``QLinearConv`` needs the scale of what it puts out; ``MatMul`` and ``Gemm`` become ``MatMulIntegerToFloat`` and ``QGemm``, which
put out float, and integers only where the next kernel takes them. Depthwise convolutions stay float: on a text recogniser that
was both faster (1.43 instead of 1.23 times float) and closer to float (16.2 instead of 11.7 dB). ``ConvTranspose`` has no integer
kernel.

- x86 with VNNI: uint8 activations, full 8-bit weights; products of bytes are added in 32 bits.
- x86 without: ``vpmaddubsw`` adds two products in 16 bits, which overflows, silently, beyond 7-bit weights.
- ARM: int8 activations. The dot-product kernels take signed operands as they are; uint8 activations have one of the operands
  flipped (on processors without dot products at run time): table of kernels in pull request 9902 of onnxruntime.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.quantize.types import Placement

from .limits import limits

if TYPE_CHECKING:
    from edgekit.types import Candidate, Site

X86_VNNI = Placement(
    "ONNX Runtime, x86 with VNNI",
    {"Conv": 0, "MatMul": 1, "Gemm": 1},
    float_outputs=("MatMul", "Gemm"),
    guard_floats=True,
)
X86 = replace(X86_VNNI, name="ONNX Runtime, x86 without VNNI", weight_bits=7)
ARM = replace(X86_VNNI, name="ONNX Runtime, ARM", activation_type="int8")

#: Full 8-bit weights without overflow: uint8 on both sides is multiplied in 16 bits, which is exact and 15 to 20 % slower. Measured
#: on x86 without VNNI, as SQNR on held-out data: text recogniser 16.1 dB (7 bits: 12.6), sentence encoder 19.0 (18.1), digits and
#: text detector as before, angle classifier 19.9 (21.9).
X86_WIDE = replace(X86, name="ONNX Runtime, x86 without VNNI, wide weights", weight_type="uint8", weight_bits=8)

_BY_PROCESSOR = {"x86-vnni": X86_VNNI, "x86": X86, "arm": ARM, "other": X86_VNNI}


def placement_for(site: Site) -> Placement:
    """The table for the processor of ``site``."""
    return _BY_PROCESSOR[limits(site).processor]


def placement_of(candidate: Candidate, site: Site) -> Placement:
    """The table that ``candidate`` is built by: the build option ``wide_weights`` matters where weights have 7 bits otherwise."""
    found = placement_for(site)
    return X86_WIDE if found is X86 and candidate.build_options.get("wide_weights") else found
