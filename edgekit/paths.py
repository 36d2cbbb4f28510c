"""What there is at a path that somebody named; what cannot be looked at is an error of theirs and no bug."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal

from .errors import EdgekitError

Kind = Literal["file", "folder", "other", "missing"]


def kind_of(path: Path, error: type[EdgekitError]) -> Kind:
    """What ``path`` is, or what it links to.

    Raises:
        ``error``: it cannot be told: a folder above it that may not be entered, a name that is too long, a circle of links.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except (OSError, ValueError) as problem:  # ValueError: a zero byte
        why = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise error(f"cannot look at {str(path)[:200]}", why=why) from problem
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"
