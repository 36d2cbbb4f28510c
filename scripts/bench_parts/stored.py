"""Records of a benchmark in the JSON file beside its document: written whole, read back only in this version's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol, TypeVar

from edgekit.errors import DataError
from edgekit.state import write_file
from edgekit.values import from_json, to_json


class Versioned(Protocol):
    """A frozen dataclass of records; made without arguments it is empty and of this version."""

    @property
    def schema(self) -> str: ...


Records = TypeVar("Records", bound=Versioned)


def read(path: Path, kind: type[Records]) -> Records:
    """What earlier runs left; nothing where there is no file.

    Raises:
        DataError: the file is not one of this version.
    """
    empty = kind()
    if not path.exists():
        return empty
    try:
        content = json.loads(path.read_bytes())
    except ValueError as problem:
        raise DataError(f"{path.name} is not JSON", why=str(problem), hint="remove it to begin anew") from problem
    document = from_json(kind, content, error=DataError, name=path.name)
    if document.schema != empty.schema:
        raise DataError(f"{path.name} is of another version: {document.schema}", hint="remove it to begin anew")
    return document


def write(path: Path, document: Versioned) -> None:
    write_file(path, (json.dumps(to_json(document), indent=1, allow_nan=False) + "\n").encode())
