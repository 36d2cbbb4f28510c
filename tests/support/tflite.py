"""Where tests of the ``tflite`` target keep the converter and what it converted: making both takes a minute."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TARGET = ROOT / "targets" / "edgekit_tflite"


@functools.cache
def shared_home() -> Path:
    """A folder for ``EDGEKIT_HOME`` that lasts. What was converted by other sources is not kept."""
    digest = hashlib.sha256()
    for path in sorted([*_TARGET.glob("convert*.py"), _TARGET / "graph.py"]):
        digest.update(path.read_bytes())
    home = ROOT / ".cache" / "tests" / "tflite"
    home.mkdir(parents=True, exist_ok=True)
    handle = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # tests run in several processes
        stamp = home / "converted-by"
        if not stamp.exists() or stamp.read_text() != digest.hexdigest():
            shutil.rmtree(home / "cache" / "candidates", ignore_errors=True)
            stamp.write_text(digest.hexdigest())
    finally:
        os.close(handle)
    return home
