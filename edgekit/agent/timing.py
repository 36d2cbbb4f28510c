"""The measurement loop ``agent/1``: one inference after another, each timed by itself, host memory to host memory."""

from __future__ import annotations

import array
import gc
import statistics
import time
from typing import Any, Callable, Dict, List

LOOP = "agent/1"
STEADY_WINDOWS = 3  # one pair of equal medians can be luck; three windows in a row hardly
SETTLED_N = 2_000  # inferences after which nothing is cold any more: what still moves is noise, and more warming up does not end it


def warm_up(
    run: Callable[[], Any], *, window_s: float, window_min_n: int, max_s: float, tolerance: float
) -> Dict[str, Any]:  # fmt: skip
    """Run until it is steady: the medians of the last three windows lie within ``tolerance`` of one another, or ``max_s`` is over.

    Caches, lazily allocated memory, clock governors and thread pools all make the first inferences slower. A quarter of
    ``max_s`` is enough for a model that was run ``SETTLED_N`` times in it.

    Returns:
        ``{"n", "elapsed_s", "steady"}``.
    """
    start = time.perf_counter()
    medians: List[float] = []
    count = 0
    while True:
        window: List[float] = []
        window_end = time.perf_counter() + window_s
        while len(window) < window_min_n or time.perf_counter() < window_end:
            before = time.perf_counter_ns()
            run()
            window.append((time.perf_counter_ns() - before) * 1e-9)
            if time.perf_counter() - start >= max_s:
                break
        count += len(window)
        if len(window) >= window_min_n:
            medians.append(statistics.median(window))
        steady = is_steady(medians, tolerance)
        elapsed_s = time.perf_counter() - start
        if steady or elapsed_s >= max_s or (count >= SETTLED_N and elapsed_s >= max_s / 4):
            return {"n": count, "elapsed_s": elapsed_s, "steady": steady}


def is_steady(medians: List[float], tolerance: float) -> bool:
    """Whether the last three windows agree within ``tolerance`` of the smallest."""
    last = medians[-STEADY_WINDOWS:]
    return len(last) == STEADY_WINDOWS and max(last) - min(last) <= tolerance * min(last)


def work(run: Callable[[], Any], *, duration_s: float) -> Dict[str, Any]:
    """One inference after another for ``duration_s``, none of them timed: a meter is read meanwhile.

    Returns:
        ``{"n", "start_s", "end_s"}``: how many, and from when to when (``time.monotonic``, which all processes of a system share).
    """
    clock = time.monotonic
    count = 0
    start_s = clock()
    while True:
        run()
        count += 1
        now_s = clock()
        if now_s - start_s >= duration_s:
            return {"n": count, "start_s": start_s, "end_s": now_s}


def burst(run: Callable[[], Any], *, duration_s: float, min_n: int, max_n: int, settle_n: int) -> "array.array[float]":
    """Latencies in seconds of one round: ``duration_s`` long, between ``min_n`` and ``max_n`` inferences.

    The first ``settle_n`` inferences refill the caches that the other candidates emptied, and are not part of the samples.
    The garbage collector is off meanwhile, as it is in :mod:`timeit`.
    """
    clock = time.perf_counter_ns
    samples = array.array("d")
    for _ in range(settle_n):
        run()
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        round_end = clock() + int(duration_s * 1e9)
        while True:
            before = clock()
            run()
            after = clock()
            samples.append((after - before) * 1e-9)
            if len(samples) >= max_n or (after >= round_end and len(samples) >= min_n):
                return samples
    finally:
        if was_enabled:
            gc.enable()
