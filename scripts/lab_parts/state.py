"""Where the lab keeps its things, how it speaks, and how it runs programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


class LabError(Exception):
    """One line for the user, and the exit code: 2 usage, 3 something is missing here."""

    def __init__(self, message: str, exit_code: int = 3) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def lab_folder() -> Path:
    """``EDGEKIT_LAB``, else ``.cache/lab`` in the checkout. Removing it removes everything but the system's packages."""
    return Path(os.environ.get("EDGEKIT_LAB") or CHECKOUT / ".cache" / "lab").absolute()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def give_to_user(path: Path) -> None:
    """Under sudo what root made for the user becomes the user's."""
    if "SUDO_UID" in os.environ:
        os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def run(what: str, argv: Sequence[str | Path], **variables: str) -> None:
    """Run a program, saying what it is for and how long it took.

    Raises:
        LabError: it failed; with the end of what it printed.
    """
    began = time.monotonic()
    say(f"{what} ...")
    try:
        done = subprocess.run(
            [str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            check=False, env={**os.environ, **variables},
        )  # fmt: skip
    except OSError as problem:
        raise LabError(f"{what}: {problem}") from problem
    if done.returncode:
        raise LabError(f"{what}: {argv[0]} ended with {done.returncode}:\n{done.stdout[-1500:]}")
    say(f"{what}: {time.monotonic() - began:.0f} s")
