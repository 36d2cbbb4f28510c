"""docs/results.md: every result with the commit, the machine and the day it was taken on.

Entries are appended, never edited; a section that a benchmark writes as a whole takes the place of its earlier one.
"""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from edgekit.state import write_file

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "results.md"
HEADING = """# Results

Written by `scripts/bench`; every entry names its commit, machine and day.
"""


def append(title: str, lines: list[str]) -> None:
    """Adds an entry at the end of the document."""
    entry = [
        f"## {title}",
        "",
        f"Commit {commit()}, {cpu()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}.",
        "",
        *lines,
    ]
    text = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else HEADING
    DOCUMENT.write_text(text.rstrip() + "\n\n" + "\n".join(entry) + "\n", encoding="utf-8")


def replace(title: str, lines: list[str], document: Path) -> None:
    """Puts the section ``title`` in the place of the one of that name, or at the end of ``document``."""
    text = document.read_text(encoding="utf-8") if document.exists() else HEADING
    head, _, rest = text.partition(f"\n## {title}\n")
    _, separator, after = rest.partition("\n## ")
    section = "\n".join([f"## {title}", "", *lines])
    following = f"\n\n## {after.strip()}" if separator else ""
    write_file(document, f"{head.rstrip()}\n\n{section.rstrip()}{following}\n".encode())


def commit() -> str:
    """The short hash of the checkout's commit, marked when files differ from it."""
    head = _git("rev-parse", "--short=12", "HEAD") or "unknown"
    return head + (" with uncommitted changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def cpu() -> str:
    """The processor's name and how many of its cores this process may use."""
    name = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.exists():
        name = next(
            (line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")), name
        )
    return f"{name}, {usable_cores()} cores"


def usable_cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
