"""Streaming calibration: one pass over the feeds collects what every range method and every target needs, in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait

from ..progress import Progress
from ..types import Array, Feed
from .exposing import MAX_OUTPUT_BYTES, ExposedModel, ModelSource, expose, n_cores
from .statistics import Statistics, TensorAccumulator

_MOST_THREADS = 4  # a third of the counting holds the interpreter


class Collector:
    """Statistics that grow feed by feed. Made by :func:`collecting`.

    One feed's tensors are counted while the model already runs on the next one. ``is_whole``: every feed of ``n_feeds`` was counted
    in every tensor, or will have been when the counting that was begun is over; not so after a feed failed half-way.
    """

    def __init__(
        self,
        exposed: ExposedModel,
        pool: Executor,
        tensors: Sequence[str],
        per_channel: Mapping[str, int],
        start: Statistics | None,
    ) -> None:
        self._exposed = exposed
        self._pool = pool
        self._halves = tuple({name: TensorAccumulator(per_channel.get(name)) for name in tensors} for _ in range(2))
        self._counting: list[Future[None]] = []
        self.n_feeds = 0
        self.is_whole = True
        if start is not None:
            self.n_feeds = start.n_feeds
            for half, done in zip(self._halves, start.halves, strict=True):
                for name, statistics in done.items():
                    half[name].add(statistics)

    def take(self, feed: Feed) -> None:
        """Run the model on one feed and count every tensor.

        Raises:
            DataError: the model cannot take this feed, or a tensor of this or of the last one holds no numbers.
            ModelError: ONNX Runtime does not load the model with these tensors put out.
        """
        half = self._halves[self.n_feeds % 2]
        for values in self._exposed.run(feed):
            self._settle()
            self._begin(half, values)
            del values  # before the next group is made: a feed's activations are the largest thing in memory
        self._count_inputs(half, feed)
        self.n_feeds += 1
        self.is_whole = True

    def _begin(self, half: Mapping[str, TensorAccumulator], values: Mapping[str, Array]) -> None:
        """Each tensor has counters of its own, so that threads (NumPy lets go of the interpreter) change no result."""
        self.is_whole = False
        self._counting = [self._pool.submit(half[name].update, value) for name, value in values.items()]

    def _count_inputs(self, half: Mapping[str, TensorAccumulator], feed: Feed) -> None:
        """At once: the caller may use the arrays of a feed again for the next one."""
        for name, array in feed.items():
            if name in half:
                self.is_whole = False
                half[name].update(array)

    def _settle(self) -> None:
        """Wait for the counting that was begun.

        Raises:
            DataError: a tensor holds no numbers.
        """
        counting, self._counting = self._counting, []
        try:
            for done in counting:
                done.result()
        except BaseException:
            self.is_whole = False
            wait(counting)
            raise

    def freeze(self) -> Statistics:
        """The statistics of the feeds so far.

        Raises:
            DataError: a tensor of the last feed holds no numbers.
        """
        self._settle()
        even, odd = ({name: grown.freeze() for name, grown in half.items()} for half in self._halves)
        return Statistics(self.n_feeds, (even, odd if self.n_feeds > 1 else {}))


@contextlib.contextmanager
def collecting(
    model: ModelSource,
    tensors: Sequence[str],
    *,
    per_channel: Mapping[str, int] | None = None,
    start: Statistics | None = None,
    max_bytes: int = MAX_OUTPUT_BYTES,
) -> Iterator[Collector]:
    """A collector for ``tensors`` of ``model``; see :func:`collect`. ``start``: what was collected from the feeds before."""
    names = list(dict.fromkeys(tensors))
    with (
        expose(model, names, max_bytes=max_bytes) as exposed,
        ThreadPoolExecutor(max(1, min(n_cores() - 1, _MOST_THREADS)), "edgekit-count") as pool,
    ):
        yield Collector(exposed, pool, names, per_channel or {}, start)


def collect(
    model: ModelSource,
    tensors: Sequence[str],
    feeds: Iterable[Feed],
    *,
    per_channel: Mapping[str, int] | None = None,
    max_bytes: int = MAX_OUTPUT_BYTES,
    progress: Progress | None = None,
) -> Statistics:
    """Statistics of ``tensors`` while ``model`` runs on all ``feeds``, in one pass.

    Memory depends on the model and on one feed, not on how many there are: activations are counted into histograms of at most 4096
    bins and freed.

    Args:
        model: float ONNX with its weights loaded, of any size, which is not changed; or what makes it, which saves the memory
            of its weights.
        tensors: inputs of the model and outputs of the main graph's operators.
        feeds: read once, so a generator will do.
        per_channel: {tensor: axis of its channels} of those whose extrema are wanted for each channel.
        max_bytes: of activations that are made at a time, while as many more are being counted. Where a feed's are larger, it is
            run several times.

    Raises:
        ModelError: the model computes no such tensor, or ONNX Runtime does not load it.
        DataError: the model cannot take a feed.
    """
    total = len(feeds) if isinstance(feeds, Sized) else 0
    with collecting(model, tensors, per_channel=per_channel, max_bytes=max_bytes) as collector:
        for feed in feeds:
            collector.take(feed)
            if progress is not None:
                progress.advance(collector.n_feeds, max(total, collector.n_feeds), "calibrating")
        return collector.freeze()
