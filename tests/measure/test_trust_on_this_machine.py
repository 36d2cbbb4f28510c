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


def fixed_work_s() -> float:
    """How long the timing CPU takes for the same plain work: the median of several goes."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, timing_cpus(1))
    try:
        took = []
        for _ in range(9):
            began = time.perf_counter()
            sum(range(300_000))
            took.append(time.perf_counter() - began)
        return statistics.median(took)
    finally:
        os.sched_setaffinity(0, usual)


def five_runs() -> tuple[list[tuple[Trust, float]], list[float]]:
    """Five measurements, each in a session of its own, and how long the plain work took before, between and after them."""
    runs, work_s = [], [fixed_work_s()]
    for _ in range(5):
        with loaded() as session:
            runs.append(measured(session))
        work_s.append(fixed_work_s())
    return runs, work_s


def test_quiet_runs_are_steady_and_agree() -> None:
    """Nothing else runs in this machine; whether it is quiet below (a shared processor, its clock), the same plain work tells.

    Quiet spells come and go there, so the first five runs that fall into one are judged, whatever they say.
    """
    for _ in range(4):
        runs, work_s = five_runs()
        if max(work_s) <= 1.05 * min(work_s):
            break
    else:
        pytest.skip(f"this machine is not quiet: the same plain work took {min(work_s) * 1e3:.2f} to {max(work_s) * 1e3:.2f} ms")
    steady = [p50 for verdict, p50 in runs if verdict.verdict == "steady"]
    assert any(max(four) <= 1.05 * min(four) for four in itertools.combinations(steady, 4)), runs


def test_beside_busy_loops_runs_are_noisy() -> None:
    with loaded() as session, every_core_busy():
        runs = [measured(session) for _ in range(10)]
    assert sum(verdict.verdict == "noisy" for verdict, _ in runs) >= 9, runs
