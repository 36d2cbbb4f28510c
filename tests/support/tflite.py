"""Where tests of the ``tflite`` target keep the converter and what it converted: making both takes a minute."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TARGET = ROOT / "targets" / "edgekit_tflite"


def shared_home() -> Path:
    """A folder for ``EDGEKIT_HOME`` that lasts, by what a conversion depends on: other sources convert anew."""
    digest = hashlib.sha256()
    for path in sorted([*_TARGET.glob("convert*.py"), _TARGET / "graph.py"]):
        digest.update(path.read_bytes())
    home = ROOT / ".cache" / "tests" / f"tflite-{digest.hexdigest()[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    return home
