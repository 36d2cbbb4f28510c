"""Where tests of the ``tflite`` target keep the converter and what it converted: making both takes a minute."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
from pathlib import Path

from support.requirements import missing

ROOT = Path(__file__).resolve().parents[2]
_TARGET = ROOT / "targets" / "edgekit_tflite"


def needs_litert() -> None:
    """Skip a test where the ``tflite`` extra is not installed (required in CI)."""
    from edgekit_tflite import vendor

    from edgekit.errors import MissingExtraError

    try:
        vendor.litert("interpreter")
        vendor.quantizer("quantizer")
    except MissingExtraError as problem:
        missing(str(problem))


@functools.cache
def shared_home() -> Path:
    """A folder for ``EDGEKIT_HOME`` that lasts. What was converted or calibrated by other sources is not kept."""
    kept_by = {
        "candidates": [*_TARGET.glob("convert*.py"), _TARGET / "graph.py"],
        "ranges": [*(ROOT / "edgekit" / "quantize").glob("*.py"), _TARGET / "calibration.py", _TARGET / "graph.py"],
    }
    home = ROOT / ".cache" / "tests" / "tflite"
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # tests run in several processes
        for name, sources in kept_by.items():
            digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()
            stamp = home / f"{name}-by"
            if not stamp.exists() or stamp.read_text() != digest:
                shutil.rmtree(home / "cache" / name, ignore_errors=True)
                stamp.write_text(digest)
    finally:
        os.close(handle)
    return home
