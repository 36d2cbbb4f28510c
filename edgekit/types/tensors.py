"""What goes into a model and comes out of it, and the words that all the other values use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
else:
    Array = Any  # this module is imported where numpy is not

JSON = Any  # a value of plain JSON types
NodeId = str  # name of a node's first output in the normalised ONNX; never a node name, never a vendor's name
Feed = Mapping[str, "Array"]  # {input name: array}, batch axis included: one predict call
Samples = int | Literal["auto"]  # how many calibration feeds to use: at most so many, or until the ranges are stable


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: numpy dtype name; shape entries are sizes, or a name where the size is free."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Feeds(Protocol):
    """A re-iterable stream of feeds; every ``iter()`` starts from the beginning. ``len`` is the number of feeds."""

    def __iter__(self) -> Iterator[Feed]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class BuildData:
    """What a target may look at while it builds: never labels, never evaluation data.

    ``manifest_sha256`` identifies the fit feeds (their hashes in order) for cache keys. ``until_stable``: the fit feeds come evenly
    spread over the data, coarsely first, and calibration may stop when more of them would not move the ranges.
    """

    fit: Feeds
    held_out: Feeds
    manifest_sha256: str
    until_stable: bool = False
