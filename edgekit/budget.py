"""The time that a search may take, and what part of it each step may use up."""

from __future__ import annotations

import time

BUILDING, REFINING, SPARING = 0.4, 0.5, 0.75  # of the budget; the rest is for measuring and evaluating
REFINING_S, SPARING_S = 10.0, 15.0  # where no budget was given, a run stays a matter of a few minutes


class Budget:
    """The time that was allowed for trying things; ``None`` is unlimited."""

    def __init__(self, budget_s: float | None) -> None:
        self.started = time.monotonic()
        self.budget_s = budget_s

    def remaining_s(self) -> float | None:
        """What is left; None without a limit, below zero when it is overdrawn."""
        return None if self.budget_s is None else self.budget_s - (time.monotonic() - self.started)

    def forgive(self, seconds: float) -> None:
        """Time that was spent waiting for somebody else is not counted."""
        self.started += seconds

    def is_spent(self, share: float = 1.0) -> bool:
        """Whether ``share`` of it is gone: what comes first must leave something for what comes after."""
        remaining_s = self.remaining_s()
        return remaining_s is not None and self.budget_s is not None and remaining_s <= (1 - share) * self.budget_s


class Allowance:
    """How long one optional step may go on: up to a share of the budget; without a budget, some seconds."""

    def __init__(self, budget: Budget, share: float, unasked_s: float) -> None:
        self._budget = budget
        self._share = share
        self._ends = time.monotonic() + unasked_s
        self.text = f"{share:.0%} of the budget was used up" if budget.budget_s is not None else f"{unasked_s:g} s without --budget"

    def remaining_s(self) -> float:
        left_s = self._budget.remaining_s()
        if left_s is None or self._budget.budget_s is None:
            return self._ends - time.monotonic()
        return left_s - (1 - self._share) * self._budget.budget_s

    @property
    def is_over(self) -> bool:
        return self.remaining_s() <= 0
