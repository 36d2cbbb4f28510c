"""The batch: a ``.tflite`` has fixed shapes, so it is built for one sample, and a feed of several runs sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgekit.types import BuildData, Feed, Feeds, TensorMap, TensorSpec

if TYPE_CHECKING:
    from edgekit.model import Model


def batch_axes(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> dict[str, int]:
    """{tensor: the axis of its samples}; empty where the model has no free batch, or not every output has one.

    The batch is the free size that inputs have in front, or the only one that they have at all, unless each input that has it has
    a 1 in front: there the batch is fixed, and what is free is a length.
    """
    symbol = _batch_symbol(inputs)
    if symbol is None:
        return {}
    axes: dict[str, int] = {}
    for spec in inputs:
        if symbol in spec.shape:
            axes[spec.name] = spec.shape.index(symbol)
    for spec in outputs:
        if symbol in spec.shape:
            axes[spec.name] = spec.shape.index(symbol)
        elif spec.shape and isinstance(spec.shape[0], str):  # exporters do not always say that it is the same size
            axes[spec.name] = 0
        else:
            return {}
    return axes


def _batch_symbol(inputs: Sequence[TensorSpec]) -> str | None:
    front = {spec.shape[0] for spec in inputs if spec.shape and isinstance(spec.shape[0], str)}
    free = {size for spec in inputs for size in spec.shape if isinstance(size, str)}
    found = front or free
    if len(found) != 1:
        return None
    symbol = next(iter(found))
    if all(spec.shape[0] == 1 for spec in inputs if symbol in spec.shape):
        return None
    is_one_axis = all(spec.shape.count(symbol) <= 1 for spec in inputs)
    return str(symbol) if is_one_axis else None


def stored_axes(axes: dict[str, int], io: Sequence[TensorMap]) -> dict[str, int]:
    """The same for an artifact's tensors, by the names that they have there."""
    found = {}
    for tensor in io:
        axis = axes.get(tensor.original.name)
        if axis is not None:
            found[tensor.artifact.name] = axis if tensor.permutation is None else tensor.permutation.index(axis)
    return found


def single_samples(data: BuildData | None, model: Model) -> BuildData | None:
    """The same data, every feed cut into its samples."""
    axes = batch_axes(model.inputs, model.outputs)
    if data is None or not axes:
        return data
    return BuildData(_Single(data.fit, axes), _Single(data.held_out, axes), data.manifest_sha256, data.until_stable)


class _Single:
    """A stream of feeds, sample by sample. ``len`` counts samples, so it takes a pass over the feeds; done once."""

    def __init__(self, feeds: Feeds, axes: dict[str, int]) -> None:
        self._feeds = feeds
        self._axes = axes
        self._length: int | None = None

    def __iter__(self) -> Iterator[Feed]:
        for feed in self._feeds:
            for index in range(self._size(feed)):
                yield {
                    name: np.take(array, [index], axis=self._axes[name]) if name in self._axes else array
                    for name, array in feed.items()
                }

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(self._size(feed) for feed in self._feeds)
        return self._length

    def _size(self, feed: Feed) -> int:
        return min(int(feed[name].shape[axis]) for name, axis in self._axes.items() if name in feed)
