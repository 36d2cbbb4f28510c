"""How to measure, how long to wait, and what opening a candidate told."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..types import JSON


@dataclass(frozen=True)
class Timeouts:
    """Seconds. ``load_s`` holds for loading one candidate, ``round_s`` for one round, one warm-up or one inference."""

    connect_s: float = 15.0
    probe_s: float = 20.0
    push_stall_s: float = 30.0
    load_s: float = 120.0
    round_s: float = 300.0
    prepare_s: float = 3600.0
    lease_s: float = 600.0
    toolchain_s: float = 900.0


@dataclass(frozen=True)
class BenchPlan:
    """How candidates are measured side by side.

    Attributes:
        rounds: rounds in which every candidate has one burst; intervals are over rounds.
        round_s: length of a burst in seconds.
        round_min_n, round_max_n: bounds on the inferences in a burst, whatever ``round_s`` says.
        settle_n: inferences before each burst that are not kept: they refill caches which other candidates emptied.
        window_s, window_min_n: length of a warm-up window.
        warm_up_max_s: a warm-up ends here also when it is not steady.
        steady_tolerance: steady means that the medians of three successive windows lie within this fraction.
        resident_fraction: workers stay loaded while together they hold less than this part of the available memory.
        seed: of the order within each round.
    """

    rounds: int = 20
    round_s: float = 0.03
    round_min_n: int = 3
    round_max_n: int = 1_000
    settle_n: int = 2
    window_s: float = 0.03
    window_min_n: int = 3
    warm_up_max_s: float = 1.0
    steady_tolerance: float = 0.03
    resident_fraction: float = 0.5
    seed: int = 0

    def within(self, remaining_s: float | None, candidates: int) -> BenchPlan:
        """The same plan with shorter bursts and warm-ups, to take about ``remaining_s``; never below a tenth."""
        if remaining_s is None or candidates == 0:
            return self
        usual_s = candidates * (self.rounds * self.round_s + self.warm_up_max_s)
        factor = min(1.0, max(0.1, remaining_s / usual_s))
        return replace(
            self,
            round_s=self.round_s * factor,
            window_s=self.window_s * factor,
            warm_up_max_s=self.warm_up_max_s * factor,
        )


@dataclass(frozen=True)
class EnergyPlan:
    """How energy is measured: each candidate works in ``repeats`` windows, and each of those lies between two of idling.

    Attributes:
        window_s: length of a window that counts.
        settle_s: what goes before it and is left out: the meter still shows the window before.
        repeats: load windows of each candidate; intervals are over repeats.
        warm_up_s: work after loading, before the first window.
        seed: of the order within each repeat.
    """

    window_s: float
    settle_s: float
    repeats: int = 5
    warm_up_s: float = 0.5
    seed: int = 0

    def takes_s(self, candidates: int) -> float:
        """About how long it takes, loading left out."""
        windows = 1 + 2 * self.repeats * candidates
        return windows * (self.window_s + self.settle_s) + candidates * self.warm_up_s


@dataclass(frozen=True)
class SustainPlan:
    """How candidates are measured in turn for minutes.

    Attributes:
        duration_s: of the whole run, loading and warm-up left out.
        turn_s: how long one candidate goes on before the next.
        keep_n: at most so many latencies of a turn are kept, evenly spaced; all of them are timed.
    """

    duration_s: float
    turn_s: float = 1.0
    keep_n: int = 100

    @classmethod
    def lasting(cls, duration_s: float, candidates: int) -> SustainPlan:
        """Turns of a second; shorter ones where each candidate would have fewer than ten in a quarter of the time."""
        return cls(duration_s, turn_s=min(1.0, max(0.05, duration_s / (40 * max(1, candidates)))))


@dataclass(frozen=True)
class Opened:
    """A candidate that was loaded on the device.

    ``load_s`` is the time to load it; importing the runtime came before. ``fingerprint`` is what its runner says of itself and its
    runtime, ``effective`` the settings that the runtime really took.
    """

    key: str
    load_s: float
    fingerprint: JSON
    requested: dict[str, JSON]
    effective: dict[str, JSON]
    peak_memory_bytes: int | None
