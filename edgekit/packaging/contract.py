"""The tensors of a bundle's artifact, as generated code relies on them: a bundle is data from anybody."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import IntegrityError, ModelError
from ..types import Artifact, TensorMap

_DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")


def check_contract(artifact: Artifact) -> None:
    """Refuses what no wrapper could be generated for.

    Raises:
        ModelError: a tensor of text or of a type that no wrapper has.
        IntegrityError: a contract that contradicts itself.
    """
    names = [(tensor.role, tensor.original.name) for tensor in artifact.io]
    if len(set(names)) != len(names) or not {"input", "output"} <= {role for role, _ in names}:
        raise IntegrityError("the artifact's contract has a tensor twice, or no input or output")
    for tensor in artifact.io:
        for spec in (tensor.original, tensor.artifact):
            if spec.dtype not in _DTYPES:
                raise ModelError(f"{spec.name[:80]!r} is of {spec.dtype[:20]}", why=f"wrappers have {', '.join(_DTYPES)}")
            if any(isinstance(size, int) and not 0 < size < 1 << 31 for size in spec.shape) or len(spec.shape) > 8:
                raise IntegrityError(f"{spec.name[:80]!r} has a shape that no tensor has")
        axes = range(len(tensor.original.shape))
        if tensor.permutation is not None and sorted(tensor.permutation) != list(axes):
            raise IntegrityError(f"{tensor.original.name[:80]!r} has a permutation that is none")
        if tensor.scale is not None and not (
            0 < tensor.scale < float("inf")
            and tensor.artifact.dtype in ("int8", "uint8", "int16")
            and tensor.original.dtype in ("float32", "float64", "float16")
            and abs(tensor.zero_point or 0) < 1 << 16
        ):
            raise IntegrityError(f"{tensor.original.name[:80]!r} has a scale that quantizes nothing")
        if not agree(tensor.original.shape, in_original_layout(tensor)):
            raise IntegrityError(f"{tensor.original.name[:80]!r} has one shape in the model and another in the artifact")


def in_original_layout(tensor: TensorMap) -> tuple[int | str, ...]:
    """The artifact's shape with its axes in the original order; the original's own where the two have different numbers of axes."""
    stored, permutation = tensor.artifact.shape, tensor.permutation
    if len(stored) != len(tensor.original.shape):
        return tensor.original.shape
    return stored if permutation is None else tuple(stored[permutation.index(axis)] for axis in range(len(stored)))


def agree(shape: Sequence[int | str], other: Sequence[int | str]) -> bool:
    """Whether sizes are the same wherever both are known."""
    pairs = zip(shape, other, strict=False)
    return len(shape) == len(other) and all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))
