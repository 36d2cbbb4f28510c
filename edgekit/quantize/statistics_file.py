"""Statistics as bytes: one ``.npz`` of plain arrays and a JSON table. No code is in it, and every number comes back as it was."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from ..errors import IntegrityError
from ..types import JSON, Array
from ..values import canonical
from .histogram import MAX_BINS, Histogram
from .statistics import Statistics, TensorMap, TensorStatistics

FORMAT = 1


def to_bytes(statistics: Statistics) -> bytes:
    """The file's content; see :func:`from_bytes`."""
    sides = [_side_arrays(side) for side in statistics.halves]
    table = {"format": FORMAT, "n_feeds": statistics.n_feeds, "halves": [rows for rows, _ in sides]}
    arrays = {f"{name}{index}": array for index, (_, found) in enumerate(sides) for name, array in found.items()}
    stream = io.BytesIO()
    np.savez(stream, table=np.frombuffer(canonical(table), np.uint8), **arrays)  # type: ignore[arg-type]  # the stub's fault
    return stream.getvalue()


def _side_arrays(side: TensorMap) -> tuple[JSON, dict[str, Array]]:
    """A row of integers for each tensor, and the arrays that all tensors share, end to end."""
    rows, numbers, counts, channels = [], [], [], []
    for name, tensor in side.items():
        low, high = tensor.channel_minimum, tensor.channel_maximum
        n_channels = None if low is None else len(low)
        bins = tensor.histogram
        shape = [bins.exponent, bins.first, len(bins.counts), tensor.channel_axis, n_channels]
        rows.append([name, tensor.count, tensor.n_nonfinite, *shape])
        numbers.append((tensor.minimum, tensor.maximum, tensor.sum))
        counts.append(bins.counts)
        if low is not None and high is not None:
            channels += [low, high]
    return rows, {
        "numbers": np.array(numbers, np.float64).reshape(-1, 3),
        "counts": np.concatenate([np.zeros(0, np.int64), *counts]),
        "channels": np.concatenate([np.zeros(0, np.float64), *channels]),
    }


def from_bytes(data: bytes) -> Statistics:
    """What :func:`to_bytes` wrote.

    Raises:
        IntegrityError: it is something else, or not whole.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            table = json.loads(archive["table"].tobytes())
            if table["format"] != FORMAT:
                raise IntegrityError(f"these statistics have format {table['format']}", why=f"this edgekit reads {FORMAT}")
            even, odd = (_side(rows, index, archive) for index, rows in enumerate(table["halves"]))
            return Statistics(int(table["n_feeds"]), (even, odd))
    except (ValueError, KeyError, TypeError, IndexError, OSError, EOFError, zipfile.BadZipFile) as problem:
        raise IntegrityError("these are no statistics of edgekit's", why=str(problem)) from problem


def _side(rows: list[Any], index: int, archive: Any) -> dict[str, TensorStatistics]:
    numbers, counts, channels = (archive[f"{name}{index}"] for name in ("numbers", "counts", "channels"))
    side: dict[str, TensorStatistics] = {}
    bin_at = channel_at = 0
    for (name, count, n_nonfinite, exponent, first, n_bins, axis, n_channels), row in zip(rows, numbers, strict=True):
        low = high = None
        if n_channels is not None:
            low, high = channels[channel_at : channel_at + 2 * n_channels].reshape(2, n_channels)
            channel_at += 2 * n_channels
        bins = Histogram(exponent, first, counts[bin_at : bin_at + n_bins])
        if not 0 <= n_bins == len(bins.counts) <= MAX_BINS or int(bins.counts.sum()) != count:
            raise ValueError(f"the counts of {name!r} are not whole")
        bin_at += n_bins
        minimum, maximum, total = (float(value) for value in row)
        side[name] = TensorStatistics(count, n_nonfinite, minimum, maximum, total, bins, axis, low, high)
    return side
