"""Memory of the machine and of a process, as the kernel reports it."""

from __future__ import annotations

import os
import re
import sys
from typing import Dict, Optional, Union


def read_text(path: str, limit: int = 1 << 18) -> str:
    """The start of a small file of the kernel's; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(limit)
    except OSError:
        return ""


def _kilobytes(text: str, name: str) -> Optional[int]:
    found = re.search(r"^%s:\s*(\d+) kB" % re.escape(name), text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def total_bytes() -> Optional[int]:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def available_bytes() -> Optional[int]:
    """What could be had now without swapping (Linux MemAvailable); ``None`` on systems that do not say."""
    return _kilobytes(read_text("/proc/meminfo"), "MemAvailable")


def process_bytes(pid: Union[int, str] = "self") -> Dict[str, Optional[int]]:
    """Resident memory of a process now (``rss``) and at most (``peak``).

    Linux: VmRSS and VmHWM, which start afresh at exec (``ru_maxrss`` would inherit the parent's). Elsewhere only this process's
    ``ru_maxrss``.
    """
    status = read_text("/proc/%s/status" % pid)
    if status or pid != "self":
        return {"rss": _kilobytes(status, "VmRSS"), "peak": _kilobytes(status, "VmHWM")}
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"rss": None, "peak": peak}


def out_of_memory_kills() -> Optional[int]:
    """How many processes the kernel has killed for lack of memory since it started; ``None`` where it does not count."""
    found = re.search(r"^oom_kill (\d+)$", read_text("/proc/vmstat"), re.MULTILINE)
    return int(found.group(1)) if found else None
