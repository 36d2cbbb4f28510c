"""The command line as a user runs it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def edgekit(
    *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Runs ``edgekit ARGS`` and returns what it printed and its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "edgekit", *map(str, args)],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON document on stdout."""
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed
