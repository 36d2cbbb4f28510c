"""Candidates are timed on the same CPUs."""

from __future__ import annotations

import os
import threading

import pytest

from edgekit.agent.affinity import pin, timing_cpus

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")


def test_the_last_cpus_are_taken_and_never_more_than_there_are() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert timing_cpus(1) == allowed[-1:]
    assert timing_cpus(10_000) == allowed
    assert timing_cpus(0) == allowed[-1:]


def test_every_thread_is_pinned() -> None:
    before = os.sched_getaffinity(0)
    pinned, looked = threading.Event(), threading.Event()
    seen: list[set[int]] = []

    def look() -> None:
        pinned.wait(10)
        seen.append(os.sched_getaffinity(0))
        looked.set()

    other = threading.Thread(target=look)
    other.start()
    try:
        pin(timing_cpus(1))
        assert os.sched_getaffinity(0) == set(timing_cpus(1))
        pin([])  # nothing to say is nothing to do
        pinned.set()
        looked.wait(10)
    finally:
        pinned.set()
        other.join()
        pin(before)
    assert seen == [set(timing_cpus(1))]
    assert os.sched_getaffinity(0) == before
