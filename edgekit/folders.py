"""Folders of arrays or pictures as sources of feeds: one file, one feed, in the order of sorted relative paths."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DataError
from .feed_checks import check_names, check_shape
from .feed_source import Source
from .npy_stream import MAX_SAMPLE_BYTES, Archive, read_npy
from .preprocess import FILE_NAME, Preprocess, preprocess_image, read_preprocess

if TYPE_CHECKING:
    from .types import Array, TensorSpec

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
LABEL_FILES = ("labels.csv", "labels.npy", "slices.npy")


class FolderSource(Source):
    """Files of one kind under a folder; ``files`` are their relative paths in order."""

    order = "sorted relative path"

    def __init__(self, root: Path, files: Sequence[str], inputs: Sequence[TensorSpec]) -> None:
        super().__init__(inputs)
        self.root = root
        self.files = tuple(files)

    def _read(self, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Any]]:
        for index, file in enumerate(self.files):
            if wanted(index):
                yield index, self._feed(self.root / file, file)

    @abstractmethod
    def _feed(self, path: Path, name: str) -> Mapping[str, Array]: ...

    def where(self, index: int) -> str:
        return self.files[index]

    def _only_input(self) -> TensorSpec:
        if len(self.inputs) != 1:
            names = ", ".join(repr(spec.name) for spec in self.inputs)
            raise DataError(
                f"a folder of {self.kind} feeds models of one input",
                why=f"this one has {names}",
                hint="use .npz files with one array an input",
            )
        return self.inputs[0]


class NpzFolderSource(FolderSource):
    """Each ``.npz`` is one feed."""

    kind = "npz-folder"

    def _feed(self, path: Path, name: str) -> Mapping[str, Array]:
        with Archive(path, name) as archive:
            check_names(archive.members, self.inputs, name)
            return {member: archive.read(member) for member in archive.members}


class NpyFolderSource(FolderSource):
    """Each ``.npy`` is one feed of the only input."""

    kind = "npy-folder"

    def __init__(self, root: Path, files: Sequence[str], inputs: Sequence[TensorSpec]) -> None:
        super().__init__(root, files, inputs)
        self._only_input()

    def _feed(self, path: Path, name: str) -> Mapping[str, Array]:
        return {self._only_input().name: read_npy(path, name)}


class ImageFolderSource(FolderSource):
    """Each picture is one feed of the only input."""

    kind = "images"

    def __init__(self, root: Path, files: Sequence[str], inputs: Sequence[TensorSpec], preprocess: Preprocess) -> None:
        super().__init__(root, files, inputs)
        self.preprocess = preprocess
        channels = 1 if preprocess.color == "gray" else 3
        height, width = preprocess.resize
        shape = (1, channels, height, width) if preprocess.layout == "NCHW" else (1, height, width, channels)
        check_shape(shape, self._only_input(), f"what {FILE_NAME} makes")

    def _feed(self, path: Path, name: str) -> Mapping[str, Array]:
        assert self.preprocess is not None
        try:
            if path.stat().st_size > MAX_SAMPLE_BYTES:
                raise DataError("the file is too large for a picture", why=f"over {MAX_SAMPLE_BYTES} bytes")
            return {self._only_input().name: preprocess_image(path.read_bytes(), self.preprocess)}
        except OSError as problem:
            raise DataError(f"cannot read {name}", why=problem.strerror or str(problem)) from problem
        except DataError as problem:
            why = f"{problem.what}: {problem.why}"
            raise DataError(
                f"{name} cannot be used", why=why, hint=problem.hint or "remove it from the folder, or repair it"
            ) from problem


def open_folder(root: Path, inputs: Sequence[TensorSpec], preprocess: Preprocess | None) -> Source:
    """The source that a folder is, by the kind of its files; ``preprocess`` wins over a ``preprocess.toml``.

    Raises:
        DataError: empty, several kinds of data, no preprocessing for pictures, or plainly not for this model.
    """
    by_kind: dict[str, list[str]] = {"npz": [], "npy": [], "pictures": []}
    others: set[str] = set()
    for file in list_files(root):
        suffix = Path(file).suffix.lower()
        if file in LABEL_FILES or file == FILE_NAME:
            continue
        kind = "pictures" if suffix in IMAGE_SUFFIXES else suffix.removeprefix(".")
        if kind in by_kind:
            by_kind[kind].append(file)
        else:
            others.add(suffix or "no suffix")
    found = {kind: files for kind, files in by_kind.items() if files}
    if not found:
        there = f"it holds only {', '.join(sorted(others)[:5])}" if others else "it is empty"
        if not others and any(entry.is_symlink() for entry in root.iterdir()):
            there = "it holds only links to folders, which are not entered"
        raise DataError(
            f"{root} holds no data", why=there, hint="a folder must hold .npz, .npy or pictures (PNG, JPEG, WebP, BMP, TIFF, PPM)"
        )
    if len(found) > 1:
        shown = ", ".join(f"{len(files)} {kind}" for kind, files in found.items())
        raise DataError(f"{root} mixes kinds of data", why=shown, hint="keep one kind in a folder")
    [(kind, files)] = found.items()
    if kind == "npz":
        return NpzFolderSource(root, files, inputs)
    if kind == "npy":
        return NpyFolderSource(root, files, inputs)
    return ImageFolderSource(root, files, inputs, preprocess or _find_preprocess(root))


def list_files(root: Path) -> list[str]:
    """Relative POSIX paths of the files under ``root``, sorted; hidden ones left out, linked folders not entered."""

    def refuse(problem: OSError) -> None:
        raise DataError(f"cannot read {root}", why=problem.strerror or str(problem)) from problem

    found = []
    for folder, folders, files in os.walk(root, onerror=refuse, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(folder) / name for name in files if not name.startswith(".")):
            if path.exists() and not path.is_file():  # a link to nowhere is told of when it is read
                raise DataError(f"{path} cannot be used", why="it is no file but a pipe, a socket or a device", hint="remove it")
            found.append(path.relative_to(root).as_posix())
    return sorted(found)


def _find_preprocess(root: Path) -> Preprocess:
    for candidate in (root / FILE_NAME, root.resolve().parent / FILE_NAME):
        if candidate.is_file():
            return read_preprocess(candidate)
    raise DataError(
        f"{root} has no {FILE_NAME}",
        why="how a picture becomes the model's input is not known",
        hint="write one into the folder or beside it: schema = 1, resize = [height, width], mean, std ... (docs/preprocess.md)",
    )
