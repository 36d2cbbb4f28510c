"""The files that travel to a device: ``device.py`` and what lies beside it there."""

from __future__ import annotations

from pathlib import Path

_NAMES = (
    "device", "engine_cuda", "engine_python", "engine_python_build", "engine_trtexec", "simulation", "trtexec_flags", "trtexec_run",
    "trtexec_text",
)  # fmt: skip
_FOLDER = Path(__file__).parent

#: ``Runner.code`` of every artifact of this target.
CODE: tuple[Path, ...] = tuple(path for path in (_FOLDER / f"{name}.py" for name in _NAMES) if path.is_file())
