"""What every source of feeds promises: a stream that can be read again, each feed checked against the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .feed_checks import checked_feed

if TYPE_CHECKING:
    from .preprocess import Preprocess
    from .types import JSON, Array, TensorSpec


class Source(ABC):
    """A stream of feeds that can be read again. ``kind`` is what manifests call it."""

    kind: str
    order = "as given"
    preprocess: Preprocess | None = None

    def __init__(self, inputs: Sequence[TensorSpec]) -> None:
        self.inputs = tuple(inputs)

    def feeds(self, wanted: Callable[[int], bool] = lambda _: True) -> Iterator[tuple[int, dict[str, Array]]]:
        """(index, feed) of the wanted indices from the beginning, each feed checked against the model's inputs.

        Raises:
            DataError: as soon as a feed cannot be read or does not fit; names its file or index.
        """
        for index, feed in self._read(wanted):
            yield index, checked_feed(feed, self.inputs, self.where(index))

    @abstractmethod
    def _read(self, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Any]]: ...

    @abstractmethod
    def where(self, index: int) -> str:
        """What messages call the feed."""

    def describe(self) -> dict[str, JSON]:
        """The source's part of a manifest: never a path."""
        return {"kind": self.kind, "order": self.order, "preprocess": self.preprocess.to_json() if self.preprocess else None}
