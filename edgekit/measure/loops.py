"""What times by different loops say of one another. Like ``statistics`` this travels to the device: Python 3.8."""

from __future__ import annotations

from collections.abc import Mapping

from ..agent.timing import LOOP


def loops_remark(loop_of: Mapping[str, str]) -> tuple[str, ...]:
    """The warning that ratios between candidates of different loops need; empty where one loop timed them all.

    ``agent/1`` times from host memory to host memory. A runner's own loop (trtexec's) adds up what the GPU's clock saw and leaves
    the host's part out, so that a speed-up of it over ``agent/1`` is at least as large as the true one.

    Args:
        loop_of: the loop that timed it, by candidate.
    """
    by_loop: dict[str, list[str]] = {}
    for key, loop in loop_of.items():
        by_loop.setdefault(loop, []).append(key)
    if len(by_loop) < 2:
        return ()
    own = "; ".join(f"{', '.join(keys)} by {loop}" for loop, keys in by_loop.items() if loop != LOOP)
    if LOOP not in by_loop:
        return (f"timed by different loops, {own}: a ratio between them compares different things",)
    return (
        f"timed without the host's part of an inference: {own}; with it: {', '.join(by_loop[LOOP])} by {LOOP}. "
        "A speed-up of the former over the latter is an upper bound",
    )
