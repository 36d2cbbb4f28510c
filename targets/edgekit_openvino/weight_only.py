"""Weights in 8 or 4 bits by NNCF, activations as they are. https://arxiv.org/abs/2210.17323 sec. 2 surveys the idea.

OpenVINO keeps such weights packed and turns them into floats inside the kernel of a matrix product (so its speed follows the bytes
that are read), or quantizes the activations as well, per group and at run time (``dynamic_quantization_group_size``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from edgekit.errors import ModelError

from . import vendor

_WEIGHT_TYPES = {8: ("i8", "u8"), 4: ("i4", "u4")}
#: Between packed weights and the operation that uses them.
_DECOMPRESSION = ("Convert", "Multiply", "Subtract", "Reshape", "Transpose")


def compress(ir: Any, *, bits: int, block_size: int, ignored: Collection[str]) -> tuple[Any, Counter[str]]:
    """``ir`` with its weights in ``bits`` bits, symmetric, and how many operations of each type use such weights.

    Args:
        block_size: weights that share a scale; 0: a whole channel. Embedding tables and the last product have one scale a channel
            and 8 bits, also under ``bits=4`` (NNCF's rule); so have weights that do not divide into blocks.
        ignored: names of operations whose weights stay.

    Raises:
        ModelError: NNCF cannot compress it, or nothing was left to compress although nothing is ignored.
    """
    nncf = vendor.nncf()
    modes = nncf.CompressWeightsMode
    options: dict[str, Any] = {"mode": modes.INT8_SYM}
    if bits == 4:
        options = {
            "mode": modes.INT4_SYM,
            "group_size": block_size or -1,
            "backup_mode": nncf.BackupMode.INT8_SYM,
            "advanced_parameters": nncf.AdvancedCompressionParameters(group_size_fallback_mode=nncf.GroupSizeFallbackMode.IGNORE),
        }
    with vendor.quiet(), vendor.as_model_errors("NNCF cannot compress the weights of this model"):
        made = nncf.compress_weights(ir, ignored_scope=nncf.IgnoredScope(names=sorted(ignored), validate=True), **options)
    done = compressed_operations(made, bits)
    if not done and not ignored:
        raise ModelError(f"no weight of this model can be stored in {bits} bits", why="NNCF left them all as they are")
    return made, compressed_operations(made, 8) + (done if bits == 4 else Counter())


def compressed_operations(ir: Any, bits: int) -> Counter[str]:
    """How many operations of each type read weights of ``bits`` bits."""
    counts: Counter[str] = Counter()
    for operation in ir.get_ops():
        if operation.get_type_name() in _DECOMPRESSION:
            continue
        if any(_stored_type(source.get_node()) in _WEIGHT_TYPES[bits] for source in operation.input_values()):
            counts[operation.get_type_name()] += 1
    return counts


def _stored_type(operation: Any) -> str:
    """The element type of the constant behind a chain of decompression, or of nothing."""
    is_converted = False
    while operation.get_type_name() in _DECOMPRESSION:
        is_converted |= operation.get_type_name() == "Convert"
        operation = operation.input_value(0).get_node()
    if operation.get_type_name() != "Constant" or not is_converted:
        return ""
    name: str = operation.get_element_type().get_type_name()
    return name
