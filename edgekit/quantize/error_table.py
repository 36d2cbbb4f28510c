"""Errors of groups of operators that have been measured, kept: an interrupted search goes on where it stopped."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..cache import range_files, read_hashed, write_hashed
from ..errors import IntegrityError
from ..types import JSON, NodeId
from ..values import sha256_json
from .damage import ErrorOf

_log = logging.getLogger(__name__)
_SAVE_EVERY_S = 2.0


@contextlib.contextmanager
def remembered(key: JSON, measure: ErrorOf) -> Iterator[ErrorOf]:
    """``measure``, asked only for groups that are not in the table of ``key``.

    Args:
        key: everything that an error depends on: model, placement, ranges, feeds, tool versions.

    Raises:
        OutputError: the cache cannot be written.
    """
    with range_files({"errors": key}) as (path, _):
        table = _read(path)
        saved, saved_at = len(table), time.monotonic()

        def error_of(nodes: Sequence[NodeId]) -> float:
            nonlocal saved, saved_at
            group = sha256_json(sorted(nodes))
            if group not in table:
                table[group] = measure(nodes)
                if time.monotonic() - saved_at > _SAVE_EVERY_S:
                    _write(path, table)
                    saved, saved_at = len(table), time.monotonic()
            return table[group]

        try:
            yield error_of
        finally:
            if len(table) > saved:
                _write(path, table)


def _read(path: Path) -> dict[str, float]:
    try:
        data = read_hashed(path)
    except IntegrityError as problem:
        _log.warning("cached errors of operators are damaged and are measured anew: %s", problem)
        return {}
    return {} if data is None else {str(name): float(value) for name, value in json.loads(data).items()}


def _write(path: Path, table: dict[str, float]) -> None:
    write_hashed(path, json.dumps(table).encode())
