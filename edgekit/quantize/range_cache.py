"""Statistics of activations through the cache: made once, shared by all candidates and processes, resumed when cut short."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial as partial_of
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..cache import range_files, read_hashed, write_hashed
from ..errors import IntegrityError
from ..progress import Progress, Silent
from ..types import JSON, BuildData
from .calibration import Collector, collecting
from .passes import rewritten
from .stability import is_stable
from .statistics import Statistics
from .statistics_file import FORMAT, from_bytes, to_bytes

if TYPE_CHECKING:
    import onnx

    from ..model import Model

_log = logging.getLogger(__name__)
CHECKPOINT_S = 5.0
FIRST_LOOK = 16  # feeds before which ``until_stable`` does not stop; it looks again whenever their number has doubled


def statistics_for(
    model: Model,
    data: BuildData,
    tensors: Sequence[str],
    *,
    per_channel: Mapping[str, int] | None = None,
    rewrites: Sequence[str] = (),
    progress: Progress | None = None,
) -> Statistics:
    """Statistics of ``tensors`` of the raised model (:func:`edgekit.frontends.onnx_frontend.read_raised`) over the fit feeds.

    What was collected once for a model and its data serves every candidate and target: only tensors that nobody asked for before
    take another pass.

    Two processes that want the same make it once. A run that is cut short leaves what it had, give or take a few seconds of work;
    the next one goes on with the feed behind that, and the result is that of one pass. What is damaged in the cache is made anew.
    With ``data.until_stable`` it ends at 16, 32, 64 ... feeds as soon as the ranges of their two halves agree.

    Args:
        per_channel: {tensor: axis of its channels}, see :func:`edgekit.quantize.calibration.collect`.
        rewrites: passes (``passes.PASSES``) that the raised model goes through first.

    Raises:
        ModelError: the model computes no such tensor, or has changed since it was loaded.
        DataError: the model cannot take a feed, or the data are not what they were.
        OutputError: the cache cannot be written.
    """
    names = sorted(set(tensors))
    axes = {name: (per_channel or {}).get(name) for name in names}
    source = partial_of(rewritten, model, rewrites)
    with range_files(_key(model, data, rewrites)) as (place, partial):
        have = _read(place, lambda _: True)
        missing = {name: axis for name, axis in axes.items() if have is None or not _has(have, name, axis)}
        if have is None or missing:
            made = _collect(source, data, missing, have.n_feeds if have else None, partial, progress or Silent())
            have = made if have is None else have.beside(made)
            write_hashed(place, to_bytes(have))
            partial.unlink(missing_ok=True)
        return have.only(names)


def _has(statistics: Statistics, name: str, axis: int | None) -> bool:
    found = statistics.halves[0].get(name)
    return found is not None and axis in (None, found.channel_axis)


def _collect(
    source: Callable[[], onnx.ModelProto],
    data: BuildData,
    axes: Mapping[str, int | None],
    n_feeds: int | None,
    partial: Path,
    progress: Progress,
) -> Statistics:
    """Statistics of the tensors in ``axes``, going on from ``partial`` where it is about the same; over ``n_feeds`` where given."""
    channels = {name: axis for name, axis in axes.items() if axis is not None}

    def is_ours(statistics: Statistics) -> bool:
        found = {name: tensor.channel_axis for name, tensor in statistics.halves[0].items()}
        return found == axes and statistics.n_feeds <= (n_feeds or len(data.fit))

    start = _read(partial, is_ours)
    with collecting(source, list(axes), per_channel=channels, start=start) as collector:
        _take_all(collector, data, n_feeds, partial, progress)
        return collector.freeze()


def _key(model: Model, data: BuildData, rewrites: Sequence[str]) -> JSON:
    import numpy as np
    import onnx
    import onnxruntime

    return {
        "format": FORMAT,
        "model": model.fingerprint,
        "fit": data.manifest_sha256,
        "until_stable": data.until_stable,
        "tools": {"numpy": np.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        **({"rewrites": list(rewrites)} if rewrites else {}),
    }


def _take_all(collector: Collector, data: BuildData, n_feeds: int | None, partial: Path, progress: Progress) -> None:
    """Feeds from where the collector stands, kept now and then, and also when reading them is what fails or is interrupted.

    ``n_feeds``: how many are to be taken in all; None leaves that to the data, or to how stable the ranges are.
    """
    total = n_feeds or len(data.fit)
    may_stop = data.until_stable and n_feeds is None
    if may_stop and _enough(collector):
        return  # cut short between the last feed and the writing
    kept_s = time.monotonic()
    try:
        for feed in islice(data.fit, collector.n_feeds, total):
            collector.take(feed)
            progress.advance(collector.n_feeds, total, "calibrating")
            if may_stop and _enough(collector):
                return
            if time.monotonic() - kept_s >= CHECKPOINT_S and collector.n_feeds < total:
                write_hashed(partial, to_bytes(collector.freeze()))
                kept_s = time.monotonic()
    except BaseException:
        if collector.is_whole and collector.n_feeds:
            write_hashed(partial, to_bytes(collector.freeze()))
        raise


def _enough(collector: Collector) -> bool:
    n = collector.n_feeds
    return n >= FIRST_LOOK and n & (n - 1) == 0 and is_stable(collector.freeze())


def _read(path: Path, fits: Callable[[Statistics], bool]) -> Statistics | None:
    """The statistics in ``path``; None when there are none, of something else, or damaged: these are made."""
    try:
        data = read_hashed(path)
        statistics = None if data is None else from_bytes(data)
    except IntegrityError as problem:
        _log.warning("cached statistics %s are damaged and are made anew: %s", path.name, problem)
        return None
    return statistics if statistics is not None and fits(statistics) else None
