"""All candidates of a run are timed on the same CPUs.

Cores of one machine differ (big and little ones, a busy neighbour on a shared core); a scheduler that keeps one candidate on the
faster core would decide the comparison.
"""

from __future__ import annotations

import os
from typing import Iterable, List


def timing_cpus(threads: int) -> List[int]:
    """The last ``threads`` CPUs that this process may use: the first serve most interrupts. Empty where that cannot be asked."""
    if not hasattr(os, "sched_getaffinity"):
        return []  # macOS has no such call
    return sorted(os.sched_getaffinity(0))[-max(1, threads) :]


def pin(cpus: Iterable[int]) -> None:
    """Keep every thread of this process on ``cpus``; a thread that ends meanwhile is no matter."""
    wanted = set(cpus)
    if not wanted or not hasattr(os, "sched_setaffinity"):
        return
    for thread in os.listdir("/proc/self/task"):
        try:
            os.sched_setaffinity(int(thread), wanted)
        except ProcessLookupError:
            continue
