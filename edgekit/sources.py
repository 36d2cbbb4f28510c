"""Where feeds come from: archives, folders of arrays or pictures, functions and other iterables, all read one feed at a time.

One feed is one ``predict`` call, batch axis included:

- ``.npz``: one member an input, axis 0 the samples; a feed is ``x[i:i+1]``, or ``x[i]`` where the member has one axis more than the
  model's input (scalars, states whose batch is not the first axis, models of a fixed batch).
- a folder of ``.npz`` or, for models of one input, of ``.npy``: each file is one feed just as it is.
- a folder of pictures: each is one feed, made by ``preprocess.toml`` in the folder or beside it.
- a function, called afresh for each pass, or any iterable that can be iterated again: yields feeds.

The order of files is that of their sorted relative paths.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .coderef import explain, is_reference
from .errors import DataError, EdgekitError, UsageError
from .feed_checks import check_dtype, check_names, check_shape
from .feed_source import Source
from .folders import open_folder
from .npy_stream import Archive
from .paths import kind_of
from .preprocess import Preprocess, read_preprocess

if TYPE_CHECKING:
    from .npy_stream import ArrayStream
    from .types import Array, TensorSpec

LABEL_MEMBERS = ("labels", "slices")
KINDS = "a .npz file, a folder of .npz, .npy or pictures, or file.py:function"


def open_source(source: object, inputs: Sequence[TensorSpec], *, preprocess: Preprocess | Path | None = None) -> Source:
    """The source that ``source`` names; nothing but names and headers is read yet.

    Raises:
        DataError: missing, empty, of no known kind, or plainly not for this model.
        UsageError: a code reference that was not resolved; ``preprocess`` for something that is not pictures.
    """
    opened = _open(source, inputs, read_preprocess(preprocess) if isinstance(preprocess, Path) else preprocess)
    if preprocess is not None and opened.preprocess is None:
        raise UsageError("preprocess is for folders of pictures", why=f"this source is of kind {opened.kind!r}")
    return opened


def _open(source: object, inputs: Sequence[TensorSpec], preprocess: Preprocess | None) -> Source:
    if isinstance(source, str) and is_reference(source):
        raise UsageError(f"{source!r} is code", hint="pass edgekit.coderef.load_function(...) of it if it may run")
    if isinstance(source, (str, Path)):
        path = Path(source)
        kind = kind_of(path, DataError)
        if kind == "folder":
            return open_folder(path, inputs, preprocess)
        if kind == "missing":
            raise DataError(f"{path} does not exist", hint=f"data may be {KINDS}")
        if path.suffix.lower() != ".npz":
            raise DataError(f"{path} is of no known kind", hint=f"data may be {KINDS}")
        return NpzSource(path, inputs)
    if isinstance(source, Mapping):
        raise DataError("one dict is not a stream of feeds", hint="pass a list of dicts, each one predict call")
    if callable(source):
        return FunctionSource(source, inputs)
    if isinstance(source, Iterator):
        raise DataError(
            "the calibration data can be read only once",
            why=f"it is a {type(source).__name__}, and several passes are made",
            hint="pass the function that makes it, without calling it",
        )
    if isinstance(source, Iterable):
        return IterableSource(source, inputs)
    raise DataError(f"a {type(source).__name__} is no source of data", hint=f"data may be {KINDS}")


# ---------------------------------------------------------------- one archive
class NpzSource(Source):
    """One ``.npz``: a member an input, axis 0 = samples; ``labels`` and ``slices`` may lie beside them."""

    kind = "npz"
    order = "axis 0"

    def __init__(self, path: Path, inputs: Sequence[TensorSpec]) -> None:
        super().__init__(inputs)
        self.path = path
        with Archive(path, path.name) as archive, contextlib.ExitStack() as stack:
            members = [member for member in archive.members if member not in LABEL_MEMBERS or member in self._names()]
            check_names(members, inputs, path.name)
            self._check_headers({spec.name: stack.enter_context(archive.open(spec.name)) for spec in self.inputs})

    def _names(self) -> list[str]:
        return [spec.name for spec in self.inputs]

    def _check_headers(self, streams: Mapping[str, ArrayStream]) -> None:
        for spec in self.inputs:
            stream, where = streams[spec.name], self.path.name
            if not stream.shape:
                raise DataError(f"{spec.name!r} in {where} is a single number", why="axis 0 must be the samples")
            check_dtype(stream.dtype, spec, where)
            one_more = len(stream.shape) == len(spec.shape) + 1
            check_shape(stream.shape[1:] if one_more else (1, *stream.shape[1:]), spec, where)
        counts = {name: stream.shape[0] for name, stream in streams.items()}
        if len(set(counts.values())) > 1:
            shown = ", ".join(f"{name!r} {count}" for name, count in counts.items())
            raise DataError(f"the inputs in {self.path.name} have different numbers of samples", why=shown)

    def _read(self, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Any]]:
        with Archive(self.path, self.path.name) as archive, contextlib.ExitStack() as stack:
            streams = {name: stack.enter_context(archive.open(name)) for name in self._names()}
            self._check_headers(streams)
            count = next(iter(streams.values())).shape[0]
            indices = (index for index in range(count) if wanted(index))
            for index, *arrays in zip(indices, *(stream.samples(wanted) for stream in streams.values()), strict=True):
                yield index, dict(zip(streams, map(self._with_batch, self.inputs, arrays), strict=True))

    @staticmethod
    def _with_batch(spec: TensorSpec, array: Array) -> Array:
        return array if array.ndim == len(spec.shape) else array[None]

    def where(self, index: int) -> str:
        return f"sample {index} of {self.path.name}"


# ---------------------------------------------------------------- code and values
class FunctionSource(Source):
    """A function that gives an iterable of feeds; it is called afresh for each pass."""

    kind = "function"

    def __init__(self, function: Callable[[], Any], inputs: Sequence[TensorSpec]) -> None:
        super().__init__(inputs)
        self._function = function
        self._name = getattr(function, "__name__", type(function).__name__)

    def _read(self, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Any]]:
        with self._explained():
            made = self._function()
        if isinstance(made, Mapping) or not isinstance(made, Iterable):
            raise DataError(
                f"{self._name}() gave no stream of feeds", why=f"it gave a {type(made).__name__}", hint="yield one dict a feed"
            )
        with self._explained():
            stream = iter(made)
        index = 0
        while True:
            with self._explained():
                try:
                    feed = next(stream)
                except StopIteration:
                    return
            if wanted(index):
                yield index, feed
            index += 1

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except EdgekitError:
            raise
        except (Exception, SystemExit) as problem:
            raise DataError(f"{self._name}() raised an error", why=explain(problem, self._function)) from problem

    def where(self, index: int) -> str:
        return f"feed {index} of {self._name}()"


class IterableSource(FunctionSource):
    """Any iterable of feeds that can be iterated again: a list, a data set."""

    kind = "iterable"

    def __init__(self, iterable: Iterable[Any], inputs: Sequence[TensorSpec]) -> None:
        super().__init__(lambda: iterable, inputs)
        self._name = type(iterable).__name__

    def where(self, index: int) -> str:
        return f"feed {index} of the {self._name}"
