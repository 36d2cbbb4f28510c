"""The model's tensors and an artifact's, translated both ways, so that callers only ever see the original contract.

This file also travels to devices (:mod:`edgekit.on_device`): Python 3.8 and numpy must do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .errors import DeviceRunError
from .types import Array, Feed, TensorMap


def to_artifact(feed: Feed, io: Sequence[TensorMap]) -> dict[str, Array]:
    """A feed under the original names and layouts as the artifact's runtime wants it.

    Raises:
        DeviceRunError: an integer does not fit the type that the artifact stores.
    """
    return {m.artifact.name: _stored(feed[m.original.name], m) for m in io if m.role == "input"}


def to_original(outputs: Mapping[str, Array], io: Sequence[TensorMap]) -> dict[str, Array]:
    """The artifact's outputs under the original names, layouts and dtypes.

    Raises:
        DeviceRunError: the runtime did not return an output that the artifact's contract lists.
    """
    original: dict[str, Array] = {}
    for m in io:
        if m.role != "output":
            continue
        if m.artifact.name not in outputs:
            raise DeviceRunError(
                f"the runtime returned no output {m.artifact.name!r}", why=f"it returned {', '.join(sorted(outputs)) or 'nothing'}"
            )
        original[m.original.name] = _restored(outputs[m.artifact.name], m)
    return original


def _stored(array: Array, m: TensorMap) -> Array:
    if m.permutation is not None:
        array = array.transpose(m.permutation)
    if m.scale is not None:
        limits = np.iinfo(m.artifact.dtype)
        real = np.rint(array.astype(np.float64) / m.scale) + (m.zero_point or 0)
        array = np.clip(real, limits.min, limits.max)
    stored = np.asarray(array, dtype=m.artifact.dtype, order="C")  # ascontiguousarray would give a scalar an axis
    if array.dtype.kind in "iu" and stored.dtype.itemsize < array.dtype.itemsize and (stored != array).any():
        raise DeviceRunError(
            f"input {m.original.name!r} does not fit the artifact", why=f"a value lies outside {m.artifact.dtype}, which it stores"
        )
    return stored


def _restored(array: Array, m: TensorMap) -> Array:
    if m.scale is not None:
        array = (array.astype(np.float64) - (m.zero_point or 0)) * m.scale
    if m.permutation is not None:
        array = array.transpose(np.argsort(m.permutation))
    return np.asarray(array, dtype=m.original.dtype, order="C")
