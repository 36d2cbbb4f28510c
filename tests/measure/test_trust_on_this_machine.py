"""The verdict on real measurements of the digits net: alone on the machine, and beside a busy loop on every core."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgekit.agent.affinity import timing_cpus
from edgekit.devices import AgentSession, BenchPlan, Opened, local_transport
from edgekit.measure.statistics import summarize
from edgekit.measure.trust import Trust, trust
from edgekit.types import Measurement, Runner, sha256_file

MODEL = Path(__file__).parents[1] / "assets" / "digits" / "digits.onnx"
FEED = {"image": np.zeros((1, 1, 28, 28), np.float32)}
BUSY = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint(flush=True)\nwhile True: pass"
OBSERVED_S = 40.0
LONG_OBSERVED_S = 600.0
KNOWN_AFTER_S = 15.0  # before that the quickest go may not have been seen yet
pytestmark = pytest.mark.alone


def digits_runner() -> Runner:
    from importlib import resources

    code = Path(str(resources.files("edgekit_onnx") / "device.py"))
    return Runner(code=(code,), entry="device", requires=("onnxruntime",), files=(MODEL.name,), options={"threads": 1})


@contextlib.contextmanager
def loaded() -> Iterator[AgentSession]:
    runner = digits_runner()
    files = {MODEL.name: sha256_file(MODEL)}
    with AgentSession(local_transport(), {"onnx": runner}) as session, session.lease():
        session.push(MODEL.parent, files)
        assert isinstance(session.open("digits", "onnx", runner, files), Opened)
        yield session


def measured(session: AgentSession) -> tuple[Trust, float]:
    """The verdict, and the median latency in seconds."""
    result = session.bench(["digits"], {"digits": FEED}, BenchPlan())["digits"]
    assert isinstance(result, Measurement)
    return trust(result), summarize(result.rounds).p50


@contextlib.contextmanager
def every_core_busy() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for cpu in sorted(os.sched_getaffinity(0)):
            loop = subprocess.Popen([sys.executable, "-c", BUSY, str(cpu)], stdout=subprocess.PIPE)
            stack.callback(loop.communicate)
            stack.callback(loop.kill)
            assert loop.stdout is not None
            loop.stdout.readline()
        yield


@dataclass(frozen=True)
class Work:
    """How long the timing CPU took for the same plain work, in many short goes; and what other programs took meanwhile."""

    goes_s: tuple[float, ...]
    others_s: float

    @classmethod
    def now(cls) -> Work:
        usual = os.sched_getaffinity(0)
        os.sched_setaffinity(0, timing_cpus(1))
        began_s = _others_s()
        try:
            return cls(tuple(_one_go_s() for _ in range(60)), _others_s() - began_s)
        finally:
            os.sched_setaffinity(0, usual)


def _others_s() -> float:
    """Processor seconds of everything but this process since the machine started; 0 where Linux does not tell."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _idle, _waiting, *interrupts = map(int, stat.read_text().split("\n", 1)[0].split()[1:9])
    own = os.times()
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK") - own.user - own.system


def _one_go_s() -> float:
    began = time.perf_counter()
    sum(range(100_000))
    return time.perf_counter() - began


@dataclass(frozen=True)
class Run:
    """A measurement in a session of its own, and the plain work right before and right after it."""

    trust: Trust
    p50_s: float
    work: tuple[Work, Work]

    def quiet(self, quickest_s: float) -> bool:
        """On both sides nine in ten goes took at most 1.4 times as long as the quickest, and other programs next to nothing.

        A neighbour on the other half of a shared core makes them take three quarters longer.
        """
        return all(
            statistics.quantiles(each.goes_s, n=10)[-1] <= 1.4 * quickest_s and each.others_s <= 0.2 * sum(each.goes_s)
            for each in self.work
        )


def one_run() -> Run:
    with loaded() as session:
        before = Work.now()
        verdict, p50_s = measured(session)
        return Run(verdict, p50_s, (before, Work.now()))


def spell(runs: list[Run]) -> list[Run]:
    """The first five runs in a row that were quiet and had a quiet one on either side; nothing where there are none."""
    quickest_s = min(go for run in runs for work in run.work for go in work.goes_s)
    quiet = [run.quiet(quickest_s) for run in runs]
    return next((runs[first : first + 5] for first in range(1, len(runs) - 5) if all(quiet[first - 1 : first + 6])), [])


def test_quiet_runs_are_steady_and_agree(request: pytest.FixtureRequest) -> None:
    """Nothing else runs in this machine; whether it is quiet below (a shared core, its clock), the same plain work tells.

    Quiet spells come and go there. The first five runs that fall into one are judged, whatever they say. ``--long`` waits for one
    for ten minutes.
    """
    observed_s = LONG_OBSERVED_S if request.config.getoption("--long") else OBSERVED_S
    runs: list[Run] = []
    five: list[Run] = []
    began = time.monotonic()
    while not five and time.monotonic() < began + observed_s:
        runs.append(one_run())
        if time.monotonic() >= began + KNOWN_AFTER_S:
            five = spell(runs)
    if not five:
        quickest_s = min(go for run in runs for work in run.work for go in work.goes_s)
        took = [statistics.median(work.goes_s) / quickest_s for run in runs for work in run.work]
        pytest.skip(
            f"this machine is not quiet: in no seven of {len(runs)} runs in a row was plain work left alone; "
            f"it took {min(took):.2f} to {max(took):.2f} times as long as its quickest go"
        )
    told = [(run.trust, run.p50_s) for run in five]
    steady = [p50_s for verdict, p50_s in told if verdict.verdict == "steady"]
    assert any(max(four) <= 1.05 * min(four) for four in itertools.combinations(steady, 4)), told


def test_beside_busy_loops_runs_are_noisy() -> None:
    with loaded() as session, every_core_busy():
        runs = [measured(session) for _ in range(10)]
    assert sum(verdict.verdict == "noisy" for verdict, _ in runs) >= 9, runs
