"""Feeds made from a seed: what stands in where there are no data, and what golden inputs are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .types import Array, Feed, Feeds, TensorSpec

FREE_SIZE = 64  # of a free axis: enough for five halvings of a picture
SMALL_INTEGERS = 100  # token numbers below this exist in every vocabulary


def synthetic_feeds(
    inputs: Sequence[TensorSpec],
    *,
    n: int,
    seed: int = 0,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    states: Collection[str] = (),
) -> Feeds:
    """``n`` feeds that the same ``seed`` gives again.

    Args:
        inputs: the model's inputs.
        n: how many.
        seed: of the values.
        ranges: (least, greatest) of an input's values, as a CalibrationSet has seen them; values are then uniform between them.
            Otherwise floats are standard normal, uint8 0 to 255, integers named ``*mask*`` 1, integers named ``*type*`` or
            ``*segment*`` 0, other integers 0 to 99, booleans either, text the letter ``a``.
        shapes: of an input, likewise. Otherwise a free first axis is 1, and so is a free axis of the same name elsewhere; other
            free axes are 64.
        states: inputs that carry a state: zeros, as at the first call, and free axes of them are 1.
    """
    sizes = {name: tuple(shape) for name, shape in (shapes or {}).items()}
    return _Synthetic(tuple(inputs), n, seed, dict(ranges or {}), sizes, frozenset(states))


@dataclass(frozen=True)
class _Synthetic:
    inputs: tuple[TensorSpec, ...]
    n: int
    seed: int
    ranges: Mapping[str, tuple[float, float]]
    shapes: Mapping[str, tuple[int, ...]]
    states: frozenset[str]

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Feed]:
        batch_names = {spec.shape[0] for spec in self.inputs if spec.shape and isinstance(spec.shape[0], str)}
        for index in range(self.n):
            generator = np.random.default_rng([self.seed, index])
            yield {spec.name: self._array(spec, self._shape(spec, batch_names), generator) for spec in self.inputs}

    def _shape(self, spec: TensorSpec, batch_names: set[Any]) -> tuple[int, ...]:
        if spec.name in self.shapes:
            return self.shapes[spec.name]
        is_one = spec.name in self.states
        return tuple(
            size if isinstance(size, int) else 1 if is_one or axis == 0 or size in batch_names else FREE_SIZE
            for axis, size in enumerate(spec.shape)
        )

    def _array(self, spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        if spec.dtype in ("object", "str", "string"):
            return np.full(shape, "a")
        dtype = np.dtype(spec.dtype)
        if spec.name in self.states:
            return np.zeros(shape, dtype)
        if dtype.kind == "b":
            return generator.integers(0, 2, shape).astype(bool)
        if dtype.kind == "f":
            low_high = self.ranges.get(spec.name)
            values = generator.standard_normal(shape) if low_high is None else generator.uniform(*low_high, shape)
            return values.astype(dtype)
        low, high = self._integer_range(spec, dtype)
        return generator.integers(low, high, shape, endpoint=True).astype(dtype)

    def _integer_range(self, spec: TensorSpec, dtype: np.dtype[Any]) -> tuple[int, int]:
        name = spec.name.lower()
        if spec.name in self.ranges:
            low, high = self.ranges[spec.name]
            return int(low), int(high)
        if dtype == np.uint8:
            return 0, 255
        if "mask" in name:
            return 1, 1
        if "type" in name or "segment" in name:
            return 0, 0
        return 0, SMALL_INTEGERS - 1
