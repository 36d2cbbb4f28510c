"""Reads mutated folders one by one, in a process of its own that measures what each costs. Prints a line of JSON for each.

python hostile_worker.py bundle|package FOLDER...
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.bundle import check_output
from edgekit.errors import EdgekitError
from edgekit.integrity import check_listing
from edgekit.manifest import check_bundle
from edgekit.packaging.api import package
from edgekit.packaging.formats import PackageOptions
from edgekit.packaging.manifest import check_package
from edgekit.signing import signature_of

BLOCKED_AFTER_S = 20  # of wall time: a pipe that is waited for takes no processor time
PACKAGED_AS = ("ios", "web", "react-native", "android")


def reads_of(kind: str, folder: Path, out: Path, number: int) -> list[Callable[[], object]]:
    """All that reads what somebody sent; what the last of them says is the outcome. The formats of packages are taken in turn."""
    if kind == "package":
        return [lambda: check_listing(check_package(folder).manifest.files)]
    chosen = PACKAGED_AS[number % len(PACKAGED_AS)]
    options = PackageOptions(sources_only=chosen == "android")
    return [
        lambda: check_output(folder),
        lambda: signature_of(check_bundle(folder)),
        lambda: package(folder, format=chosen, output=out, options=options),
    ]


def measured(read: Callable[[], object]) -> dict[str, Any]:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    began, outcome, exit_code = time.process_time(), "read", 0
    signal.alarm(BLOCKED_AFTER_S)
    try:
        read()
    except EdgekitError as problem:
        outcome, exit_code = f"{type(problem).__name__}: {problem}"[:300], problem.exit_code
    except Exception as problem:  # noqa: BLE001 - an untyped error is what is looked for
        outcome, exit_code = f"{type(problem).__name__}: {problem}"[:300], -1
    signal.alarm(0)
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return {
        "outcome": outcome,
        "exit_code": exit_code,
        "cpu_s": time.process_time() - began,
        "peak_bytes": int(peak.split()[1]) * 1024,
    }


def main(kind: str, folders: list[str]) -> None:
    intact = Path(folders[0])
    for number in range(len(PACKAGED_AS)):  # imports everything, so that the first folder is not charged for it
        for read in reads_of(kind, intact, intact.parent / f"warm-{number}", number):
            read()
    gc.collect()
    gc.freeze()  # what was imported is not looked through before each folder
    for number, name in enumerate(folders[1:]):
        folder = Path(name)
        out = folder.parent / f"{folder.name}-out"
        results = [measured(read) for read in reads_of(kind, folder, out, number)]
        untyped = [result for result in results if result["exit_code"] < 0]
        worst = {cost: max(result[cost] for result in results) for cost in ("cpu_s", "peak_bytes")}
        print(json.dumps({"folder": name, "out": out.exists(), **(untyped or results)[-1], **worst}), flush=True)


if __name__ == "__main__":
    os.umask(0o022)
    main(sys.argv[1], sys.argv[2:])
