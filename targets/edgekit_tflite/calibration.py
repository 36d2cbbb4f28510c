"""Statistics of a ``.tflite``'s activations over the calibration feeds: edgekit's own, so that every range method can be had.

The quantizer's own calibration is a moving average: its ranges depend on the order of the data, and the last feeds count most. Here
each tensor has a histogram that grows with its data, whose size does not depend on how many feeds there are.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgekit.cache import range_files, read_hashed, write_hashed
from edgekit.contract import to_artifact
from edgekit.errors import DataError, IntegrityError
from edgekit.quantize.ranges import activation_range
from edgekit.quantize.stability import is_stable
from edgekit.quantize.statistics import Statistics, TensorAccumulator
from edgekit.quantize.statistics_file import FORMAT, from_bytes, to_bytes
from edgekit.quantize.types import Range, RangeMethod
from edgekit.types import BuildData, Feed, TensorMap, sha256_file

from . import graph as tflite
from . import vendor

FIRST_LOOK = 16  # feeds before which ``until_stable`` does not stop; it looks again whenever their number has doubled
_MOST_THREADS = 4


def ranges_of(
    path: Path, io: Sequence[TensorMap], data: BuildData, tensors: Sequence[str], method: RangeMethod
) -> dict[str, Range]:
    """What each of ``tensors`` of the float model ``path`` spans in int8.

    Args:
        io: how the feeds' tensors appear in the model.

    Raises:
        DataError: the model cannot take a feed, or a tensor holds no finite number.
    """
    found = statistics_of(path, io, data, tensors).tensors
    return {name: activation_range(found[name], method, dtype="int8", symmetric=False) for name in tensors}


def statistics_of(path: Path, io: Sequence[TensorMap], data: BuildData, tensors: Sequence[str]) -> Statistics:
    """Statistics of ``tensors`` over the fit feeds, through the cache: made once for a model and its data."""
    key = {
        "format": FORMAT,
        "tflite": sha256_file(path),
        "fit": data.manifest_sha256,
        "until_stable": data.until_stable,
        "tools": vendor.versions(),
    }
    with range_files(key) as (place, _):
        have = _read(place)
        missing = [name for name in tensors if have is None or name not in have.halves[0]]
        if have is None or missing:
            made = _collect(path, io, data, missing, have.n_feeds if have else None)
            have = made if have is None else have.beside(made)
            write_hashed(place, to_bytes(have))
        return have.only(tensors)


def _read(place: Path) -> Statistics | None:
    """What is kept; None where there is nothing or it is damaged: both are made anew."""
    with contextlib.suppress(IntegrityError):
        data = read_hashed(place)
        return None if data is None else from_bytes(data)
    return None


def _collect(path: Path, io: Sequence[TensorMap], data: BuildData, tensors: Sequence[str], n_feeds: int | None) -> Statistics:
    halves = tuple({name: TensorAccumulator() for name in tensors} for _ in range(2))
    done = 0
    with _Observed(path) as observed, ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        for feed in data.fit:
            observed.run(to_artifact(feed, io), feed)
            half = halves[done % 2]
            list(pool.map(lambda name, half=half: half[name].update(observed.value(name)), tensors))
            done += 1
            frozen = data.until_stable and n_feeds is None and done >= FIRST_LOOK and done & (done - 1) == 0
            if done == n_feeds or (frozen and is_stable(_frozen(done, halves))):
                break
    return _frozen(done, halves)


def _frozen(n_feeds: int, halves: Sequence[Mapping[str, TensorAccumulator]]) -> Statistics:
    even, odd = ({name: each.freeze() for name, each in half.items()} for half in halves)
    return Statistics(n_feeds, (even, odd))


class _Observed:
    """The model in an interpreter that keeps the value of every tensor."""

    def __init__(self, path: Path) -> None:
        self._interpreter: Any = vendor.interpreter(path, keep_all=True)
        self._index = {details["name"]: details["index"] for details in self._interpreter.get_tensor_details()}
        self._inputs = {name: tensor.name for name, tensor in tflite.read(path).inputs.items()}

    def __enter__(self) -> _Observed:
        return self

    def __exit__(self, *_: object) -> None:
        self._interpreter = None

    def run(self, inputs: Feed, feed: Feed) -> None:
        try:
            for name, tensor in self._inputs.items():
                self._interpreter.set_tensor(self._index[tensor], inputs[name])
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as problem:  # what the runtime raises for sizes, and for operators that fail
            shapes = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in feed.items())
            raise DataError(
                f"the model cannot take a calibration feed ({shapes})",
                why=str(problem).splitlines()[0][:200],
                hint="a .tflite is built for one shape; give it with --shape",
            ) from problem

    def value(self, tensor: str) -> Any:
        return self._interpreter.get_tensor(self._index[tensor])


def tensors_of(graph: tflite.Graph, operators: Sequence[int]) -> list[str]:
    """The activations in float32 that ``operators`` read and put out, in order."""
    names: dict[str, None] = {}
    for index in operators:
        operator = graph.operators[index]
        names.update(dict.fromkeys((*operator.inputs, *operator.outputs)))
    return [name for name in names if graph.tensors[name].dtype == "float32"]


def quantizer_ranges(ranges: Mapping[str, Range]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same as ai-edge-quantizer keeps them."""
    import numpy as np

    for name, span in ranges.items():
        yield name, {"min": np.array([span.low], np.float32), "max": np.array([span.high], np.float32)}
