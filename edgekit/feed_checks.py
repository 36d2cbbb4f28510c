"""Whether a feed fits a model, and the hash by which two feeds are told to be the same."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DataError
from .values import canonical

if TYPE_CHECKING:
    from .types import Array, Feed, TensorSpec

_TEXT_DTYPES = ("object", "str", "string")  # what a text input may be called; its arrays are numpy's fixed-width unicode


def hash_feed(feed: Feed) -> str:
    """sha256 over the inputs in order of their names: name, dtype and shape as canonical JSON, then little-endian C-order bytes."""
    digest = hashlib.sha256()
    for name in sorted(feed):
        array = np.asarray(feed[name], order="C")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(canonical([name, array.dtype.newbyteorder("=").name, list(array.shape)]) + b"\n")
        digest.update(array.data if array.size and array.ndim and array.dtype.kind != "U" else array.tobytes())
    return digest.hexdigest()


def sample_hashes(feed: Feed) -> frozenset[str]:
    """Where all inputs share a batch of two or more: the hash of each sample as a feed of its own. Otherwise nothing.

    So a picture is recognised also when another run hands it over in a batch.
    """
    sizes = {array.shape[0] if array.ndim else 0 for array in feed.values()}
    batch = sizes.pop() if len(sizes) == 1 else 0
    if batch < 2:
        return frozenset()
    return frozenset(hash_feed({name: array[row : row + 1] for name, array in feed.items()}) for row in range(batch))


def checked_feed(feed: Any, inputs: Sequence[TensorSpec], where: str) -> dict[str, Array]:
    """``feed`` in the order of ``inputs``, its arrays in C order and this machine's byte order.

    Args:
        feed: what a source gave; must be a mapping of exactly the inputs' names to numpy arrays.
        inputs: the model's inputs; sizes that are names are free.
        where: which file or sample, for messages.

    Raises:
        DataError: another name, dtype, rank or fixed size; NaN or infinity. Nothing is cast.
    """
    if not isinstance(feed, Mapping):
        raise DataError(f"{where} is not a feed", why=f"it is a {type(feed).__name__}", hint="give {input name: numpy array}")
    check_names([str(name) for name in feed], inputs, where)
    return {spec.name: _checked_array(feed[spec.name], spec, where) for spec in inputs}


def check_names(names: Sequence[str], inputs: Sequence[TensorSpec], where: str) -> None:
    """Refuses names that are not exactly the inputs'; the hint pairs the nearest."""
    wanted = [spec.name for spec in inputs]
    missing = [name for name in wanted if name not in names]
    unknown = [name for name in names if name not in wanted]
    if not missing and not unknown:
        return
    near = [(name, difflib.get_close_matches(name, missing, n=1, cutoff=0.5)) for name in unknown]
    pairs = [f"rename {name!r} to {match[0]!r}" for name, match in near if match]
    raise DataError(
        f"{where} does not have the model's inputs",
        why="; ".join(
            part for part in (_listed("missing", missing), _listed("not an input of the model", unknown)) if part
        ),
        hint="; ".join(pairs[:3]) or f"the inputs are {', '.join(map(repr, wanted))}",
    )  # fmt: skip


def _listed(label: str, names: Sequence[str]) -> str:
    return f"{label}: {', '.join(map(repr, names[:5]))}" if names else ""


def _checked_array(array: Any, spec: TensorSpec, where: str) -> Array:
    if not isinstance(array, np.ndarray):
        raise DataError(
            f"{spec.name!r} of {where} is not a numpy array", why=f"it is a {type(array).__name__}", hint="numpy.asarray(x)"
        )
    check_dtype(array.dtype, spec, where)
    check_shape(array.shape, spec, where)
    native = np.asarray(array, order="C").astype(array.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind in "fc" and not np.isfinite(native).all():
        count = int(native.size - np.count_nonzero(np.isfinite(native)))
        raise DataError(
            f"{spec.name!r} of {where} has values that are not numbers",
            why=f"{count} of {native.size} are NaN or infinite",
            hint="remove that sample, or find out what made it",
        )
    return native


def check_dtype(dtype: np.dtype[Any], spec: TensorSpec, where: str) -> None:
    if dtype.newbyteorder("=").name == spec.dtype or (dtype.kind == "U" and spec.dtype in _TEXT_DTYPES):
        return
    raise DataError(
        f"{spec.name!r} of {where} has the wrong dtype",
        why=f"it is {dtype.name}, the model takes {spec.dtype}; nothing is converted silently",
        hint=f"save it as array.astype({spec.dtype!r}) if that is what the model was trained with",
    )


def check_shape(shape: Sequence[int], spec: TensorSpec, where: str) -> None:
    fits = len(shape) == len(spec.shape) and all(
        isinstance(wanted, str) or size == wanted for size, wanted in zip(shape, spec.shape, strict=True)
    )
    if fits:
        return
    shown = ", ".join(map(str, spec.shape))
    hint = "one feed is one predict call, batch axis included"
    if len(shape) == len(spec.shape) - 1:
        hint += ": save array[None]"
    raise DataError(
        f"{spec.name!r} of {where} has the wrong shape", why=f"it is {list(shape)}, the model takes [{shown}]", hint=hint
    )
