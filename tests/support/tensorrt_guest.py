"""The guest modules of the tensorrt target, imported as on a device: beside one another, not as a package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import edgekit_tensorrt

_FOLDER = str(Path(edgekit_tensorrt.__file__).parent)


def guest_module(name: str) -> ModuleType:
    sys.path.insert(0, _FOLDER)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(_FOLDER)
