"""Files with gaps, kept as files: ``@@{name}`` is filled in, all else stays as it is."""

from __future__ import annotations

import string
from importlib import resources


class _Gaps(string.Template):
    delimiter = "@@"


def read(package: str, path: str) -> str:
    """The text of a file of ``package``."""
    return resources.files(package).joinpath(path).read_text("utf-8")


def render(package: str, path: str, /, **values: object) -> str:
    """The text of a file of ``package`` with every gap filled; a gap without a value is a KeyError."""
    return _Gaps(read(package, path)).substitute(values)
