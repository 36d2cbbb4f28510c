"""The clocks of a Jetson locked at their highest (jetson_clocks): whether they are, and the steps to lock them and let them go.

jetson_clocks changes many files of the kernel's at once and has its own way to put them back: what it stored before. It ends with 0
whatever it could not write, so what it shows afterwards decides.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

from .become import run_clocks
from .jetson import JETSON_CLOCKS, current_clocks
from .meters.program import find_program

SETTING = "jetson_clocks"  # in the journal, where a governor has its file
LOCKED = "locked"
UNLOCKED = "unlocked"


def is_there(root: str) -> bool:
    return find_program(root, JETSON_CLOCKS) is not None


def lock_state(root: str, become: Sequence[str]) -> Tuple[Optional[str], str]:
    """``LOCKED`` when each CPU and the GPU have one clock as lowest and highest, ``UNLOCKED``, or None and why it is not known.

    The memory's clock (EMC) is locked by a switch of its own, not by its range.
    """
    clocks, why = current_clocks(root, become)
    if clocks is None:
        return None, why
    told = [clock for name, clock in clocks.items() if name.lower().startswith(("cpu", "gpu"))]
    if not told:
        return None, "jetson_clocks --show tells the clock of no CPU and no GPU"
    return (LOCKED if all(clock.minimum == clock.maximum for clock in told) else UNLOCKED), ""


def store(root: str, become: Sequence[str]) -> str:
    """Let jetson_clocks keep what is set now. Returns why it failed; empty when it did not."""
    return _run(root, become, "store")


def change(root: str, become: Sequence[str], to: str) -> str:
    """Lock the clocks, or put back what was stored. Returns why it failed; empty when they are what they should be."""
    problem = _run(root, become, "lock" if to == LOCKED else "restore")
    if problem:
        return problem
    state, why = lock_state(root, become)
    return "" if state == to else why or "the clocks are %s after jetson_clocks ran, not %s" % (state, to)


def _run(root: str, become: Sequence[str], action: str) -> str:
    program = find_program(root, JETSON_CLOCKS)
    if program is None:
        return "there is no jetson_clocks on this device"
    return run_clocks(become, program, action, root)
