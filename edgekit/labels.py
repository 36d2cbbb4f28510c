"""Labels and slices of evaluation data: members of the archive, or ``labels.csv`` / ``labels.npy`` in the folder."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import DataError, UnknownNameError
from .feed_source import Source
from .folders import FolderSource
from .npy_stream import Archive, read_npy
from .sources import NpzSource

if TYPE_CHECKING:
    from .types import Array

COLUMNS = ("file", "label", "slice")
MAX_CSV_BYTES = 256 << 20
MAX_SLICES = 1000  # each is judged for each finalist, and all of that stands in the report
SLICES_HINT = "a slice is a group that matters, not a sample"
_HINT = "put labels.csv (file,label,slice) or labels.npy into the folder, or a member 'labels' into the .npz"


@dataclass(frozen=True)
class Labels:
    """One entry a feed, in the source's order.

    Attributes:
        values: a number, or an array for labels of several numbers.
        slices: the slice's name; empty for a feed in no slice.
    """

    values: tuple[int | float | Array, ...]
    slices: tuple[str, ...]


def read_labels(source: Source) -> Labels:
    """The labels beside ``source``.

    Raises:
        DataError: no labels, not one for each feed, or not numbers.
    """
    if isinstance(source, NpzSource):
        labels, slices = _from_archive(source.path)
        return _from_arrays(labels, slices, source.path.name)
    if isinstance(source, FolderSource):
        return _from_folder(source)
    raise DataError(f"data of kind {source.kind!r} have no labels", hint=_HINT)


def check_count(labels: Labels, n: int) -> None:
    """Refuses labels that are not one for each of ``n`` feeds."""
    if len(labels.values) != n:
        raise DataError("there must be one label for each feed", why=f"{len(labels.values)} labels, {n} feeds")


def _from_archive(path: Path) -> tuple[Array, Array | None]:
    with Archive(path, path.name) as archive:
        if "labels" not in archive.members:
            raise DataError(f"{path.name} has no labels", hint=_HINT)
        return archive.read("labels"), archive.read("slices") if "slices" in archive.members else None


def _from_folder(source: FolderSource) -> Labels:
    table, array = source.root / "labels.csv", source.root / "labels.npy"
    if table.exists() and array.exists():
        raise DataError("there are both labels.csv and labels.npy", hint="remove the one that is out of date")
    if table.exists():
        return _from_table(table, source.files)
    if not array.exists():
        raise DataError("the evaluation data have no labels", hint=_HINT)
    slices = source.root / "slices.npy"
    labels = _from_arrays(read_npy(array, array.name), read_npy(slices, slices.name) if slices.exists() else None, array.name)
    check_count(labels, len(source.files))
    return labels


def _from_arrays(labels: Array, slices: Array | None, name: str) -> Labels:
    if labels.dtype.kind not in "biuf" or labels.ndim == 0:
        raise DataError(f"the labels in {name} must be numbers, one a feed", why=f"they are {labels.dtype} {list(labels.shape)}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(f"the labels in {name} are not all finite")
    if slices is not None and (slices.shape != labels.shape[:1] or slices.dtype.kind not in "Uiu"):
        raise DataError(
            f"the slices beside {name} must be names or whole numbers, one a feed",
            why=f"they are {slices.dtype} {list(slices.shape)}",
        )
    labels = labels.astype(np.int64) if labels.dtype.kind == "b" else labels
    labels = labels.reshape(-1) if labels.size == len(labels) else labels  # a column of numbers is a list of numbers
    values: Sequence[int | float | Array] = labels.tolist() if labels.ndim == 1 else list(labels)
    names = tuple(str(value) for value in slices.tolist()) if slices is not None else ("",) * len(values)
    return _checked(Labels(tuple(values), names), name)


def _from_table(path: Path, files: Sequence[str]) -> Labels:
    rows = _read_rows(path)
    missing = [file for file in files if file not in rows]
    unknown = sorted(rows.keys() - set(files))
    if missing:
        raise DataError(f"{len(missing)} of {len(files)} files have no label in labels.csv", why=f"the first is {missing[0]}")
    if unknown:
        raise DataError(f"labels.csv names {len(unknown)} files that are not there", why=f"the first is {unknown[0]}")
    return _checked(Labels(tuple(rows[file][0] for file in files), tuple(rows[file][1] for file in files)), path.name)


def _read_rows(path: Path) -> dict[str, tuple[int | float, str]]:
    try:
        if path.stat().st_size > MAX_CSV_BYTES:
            raise DataError("labels.csv is too large", why=f"over {MAX_CSV_BYTES} bytes")
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError("cannot read labels.csv", why=str(problem), hint="it must be UTF-8 text") from problem
    table = csv.DictReader(io.StringIO(text), restval="")
    columns = [name.strip() for name in table.fieldnames or ()]
    if unknown := [name for name in columns if name not in COLUMNS]:
        nearest = UnknownNameError("column", unknown[0], COLUMNS).hint
        raise DataError(
            f"labels.csv has an unknown column {unknown[0]!r}", hint=f"{nearest}; the first line must be file,label,slice"
        )
    if "file" not in columns or "label" not in columns:
        raise DataError(
            "labels.csv has no columns file and label", hint="the first line must be file,label,slice; slice may be left out"
        )
    table.fieldnames = columns
    rows: dict[str, tuple[int | float, str]] = {}
    try:
        for row in table:
            if None in row:
                raise DataError(
                    "labels.csv has a line of too many columns", why=f"line {table.line_num}", hint="quote text that has commas"
                )
            file = row["file"].strip()
            if file in rows:
                raise DataError(f"{file} is twice in labels.csv", why=f"again in line {table.line_num}")
            rows[file] = (_number(row["label"], table.line_num), row.get("slice", "").strip())
    except csv.Error as problem:
        raise DataError("labels.csv is not a table", why=f"line {table.line_num}: {problem}") from problem
    return rows


def _number(text: str, line: int) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as problem:
        raise DataError(
            f"a label in labels.csv is not a number, line {line}",
            why=repr(text[:50]),
            hint="classes are written as 0, 1, 2, ... in the order of the model's output",
        ) from problem


def _checked(labels: Labels, name: str) -> Labels:
    for index, value in enumerate(labels.values):
        if isinstance(value, float) and not math.isfinite(value):
            raise DataError(f"label {index} in {name} is not a finite number")
    if len(set(labels.slices)) > MAX_SLICES:
        raise DataError(f"{name} has over {MAX_SLICES} slices", hint=SLICES_HINT)
    return labels
