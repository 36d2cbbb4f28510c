"""Whether something is closer to float on few feeds by more than chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

SURE = 2.0  # standard errors by which feeds must rise on average: held-out feeds are few, and others must rise as well


def is_no_chance(before_db: Sequence[float], after_db: Sequence[float]) -> bool:
    """Whether feeds rise, on average, by clearly more than the rises of single feeds scatter: a paired t-test, so to speak.

    A single feed has nothing to tell chance by.

    Args:
        before_db, after_db: each feed's closeness in dB, of the same feeds in the same order.
    """
    rises = [after - before for before, after in zip(before_db, after_db, strict=True)]
    if len(rises) < 2:
        return True
    return statistics.mean(rises) > SURE * statistics.stdev(rises) / math.sqrt(len(rises))
