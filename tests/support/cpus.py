"""Which CPUs a process of the tests keeps to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

CAN_CHOOSE = hasattr(os, "sched_setaffinity")  # not on macOS
ALL = os.sched_getaffinity(0) if CAN_CHOOSE else set()


def keep_to_share(own: int, count: int) -> None:
    """This process, and what it starts, keeps to its share of the CPUs: it is number ``own`` of ``count``.

    Candidates run on the last CPU that a run may use (``edgekit.agent.affinity``). Those of two processes that may use the same
    CPUs would wait for each other on that one, while another has nothing to do.
    """
    share = sorted(ALL)[own::count]
    if share:  # nothing where processes are more than CPUs, and where none can be chosen
        os.sched_setaffinity(0, share)


@contextmanager
def all_cpus() -> Iterator[None]:
    """What is started meanwhile may use every CPU: it is about several threads."""
    if not CAN_CHOOSE:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ALL)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
