"""Meters that are programs of the board's maker. Their command lines stand here and nowhere else; none comes from the host."""

from __future__ import annotations

import os
import subprocess
from typing import Optional, Sequence

from .base import MeterError, under

_MAX_OUTPUT_BYTES = 1 << 16


def find_program(root: str, paths: Sequence[str]) -> Optional[str]:
    """The first of ``paths`` (relative to the root folder) that can be run."""
    for path in paths:
        found = under(root, path)
        if os.path.isfile(found) and os.access(found, os.X_OK):
            return found
    return None


def output_of(argv: Sequence[str], *, timeout_s: float) -> str:
    """What a program prints.

    Raises:
        MeterError: it cannot be run, fails, or does not end in time.
    """
    try:
        done = subprocess.run(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise MeterError("%s: %s" % (argv[0], problem)) from problem
    text = done.stdout[:_MAX_OUTPUT_BYTES].decode("utf-8", "replace")
    if done.returncode != 0:
        raise MeterError("%s ended with status %d: %.100r" % (" ".join(argv), done.returncode, text.strip()))
    return text
