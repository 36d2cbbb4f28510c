"""A candidate that fails is a result; the session and the other candidates go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from support.guests import Toy, is_running, wait_until_gone

from edgekit.devices import AgentSession, BenchPlan, Opened, Timeouts, WorkerFailedError, local_transport
from edgekit.devices.plan import SustainPlan
from edgekit.errors import DeviceRunError, DeviceUnavailableError
from edgekit.types import Measurement, RunFailure, Runner

X = np.ones((2, 2), np.float32)
SHORT_ROUND = Timeouts(load_s=60.0, round_s=3.0)  # loading may take its time, so that a busy machine is not taken for a hang
SHORT_LOAD = Timeouts(load_s=2.0)
FAILURES = [
    ("segfault", "crash", "SIGSEGV"),
    ("killed", "crash", "SIGKILL"),
    ("exit", "crash", "exit status 23"),
    ("sys-exit", "crash", "exit status 3"),
    ("raise", "error", "ValueError: no such operator"),
    ("memory", "out-of-memory", "9 TB"),
    ("missing", "missing-runtime", "no_such_runtime_anywhere"),
    ("edgekit", "error", "must not import edgekit"),
    ("hang", "timeout", "did not end within"),
]


def assert_failed(failure: object, kind: str, text: str) -> None:
    assert isinstance(failure, RunFailure)
    assert failure.kind == kind, failure
    assert text in failure.message


def test_at_load(toy: Toy) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        for how, kind, text in FAILURES:
            if kind == "timeout":
                continue  # test_that_hangs_at_load
            failure = session.open(how, "toy", toy.runner(at_load=how), toy.files)
            assert_failed(failure, kind, text)
            with pytest.raises(WorkerFailedError) as caught:
                session.infer(how, {"x": X})
            assert caught.value.failure == failure
        assert isinstance(session.open("good", "toy", toy.runner(), toy.files), Opened)
        np.testing.assert_array_equal(session.infer("good", {"x": X})["x"], X * 2)


def test_that_hangs_at_load(toy: Toy) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}, timeouts=SHORT_LOAD) as session:
        session.push(toy.artifact, toy.files)
        failure = session.open("hang", "toy", toy.runner(at_load="hang"), toy.files)
        assert_failed(failure, "timeout", "did not end within")
        with pytest.raises(WorkerFailedError) as caught:
            session.infer("hang", {"x": X})
        assert caught.value.failure == failure
        assert session.probe().cores >= 1


def test_at_inference(toy: Toy) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}, timeouts=SHORT_ROUND) as session:
        session.push(toy.artifact, toy.files)
        for how, kind, text in FAILURES:
            opened = session.open(how, "toy", toy.runner(at_run=how), toy.files)
            assert isinstance(opened, Opened)
            with pytest.raises(WorkerFailedError) as caught:
                session.infer(how, {"x": X})
            assert_failed(caught.value.failure, kind, text)
            assert caught.value.exit_code == 7
            assert is_running(opened.fingerprint["pid"]) == (kind not in ("crash", "timeout"))
            session.close_worker(how)
            assert not is_running(opened.fingerprint["pid"])


def test_in_the_middle_of_a_bench(toy: Toy) -> None:
    """All kinds of failure beside a good candidate: each drops out with its own result, the good one has all its rounds."""
    with AgentSession(local_transport(), {"toy": toy.runner()}, timeouts=SHORT_ROUND) as session:
        session.push(toy.artifact, toy.files)
        for how, _, _ in FAILURES:
            session.open(how, "toy", toy.runner(at_run=how, good_runs=52, delay_s=0.001), toy.files)
        session.open("good", "toy", toy.runner(), toy.files)
        keys = [*(how for how, _, _ in FAILURES), "good"]
        plan = BenchPlan(
            rounds=12, round_s=0.01, window_s=0.01, warm_up_max_s=0.04
        )  # at most 40 runs of warm-up, at least 60 in rounds
        result = session.bench(keys, {key: {"x": X} for key in keys}, plan)
        orders = session.last_orders
    for how, kind, text in FAILURES:
        assert_failed(result[how], kind, text)
    good = result["good"]
    assert isinstance(good, Measurement)
    assert len(good.rounds) == 12
    assert sorted(orders[0]) == sorted(keys)
    assert orders[-1] == ("good",)


def test_what_a_crashed_runtime_had_printed_is_in_its_result(toy: Toy) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        failure = session.open("bad", "toy", toy.runner(at_load="exit"), toy.files)
    assert isinstance(failure, RunFailure)
    assert "printed by the runtime on standard output" in failure.message


def open_pids(session: AgentSession, toy: Toy, **options: object) -> tuple[int, int]:
    """Process ids of the guardian and of a worker."""
    session.push(toy.artifact, toy.files)
    opened = session.open("one", "toy", toy.runner(**options), toy.files)
    assert isinstance(opened, Opened)
    return opened.fingerprint["parent"], opened.fingerprint["pid"]


def test_a_killed_guardian_takes_its_workers_along_and_is_tidied_up_after(toy: Toy, guest_home: Path) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        guardian, worker = open_pids(session, toy)
        os.kill(guardian, signal.SIGKILL)
        with pytest.raises(DeviceUnavailableError) as caught:
            session.infer("one", {"x": X})
        assert caught.value.exit_code == 6
        wait_until_gone(worker)
        session.close_worker("one")
    assert len(list((guest_home / "sessions").iterdir())) == 1, "it could not tidy up"
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        assert len(list((guest_home / "sessions").iterdir())) == 1, "the next one did"
    assert list((guest_home / "sessions").iterdir()) == []


def test_a_stopped_worker_also_dies_with_a_killed_guardian(toy: Toy) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        guardian, worker = open_pids(session, toy)
        os.kill(worker, signal.SIGSTOP)
        os.kill(guardian, signal.SIGKILL)
        wait_until_gone(worker)


def test_an_exception_in_the_block_ends_everything_at_once(toy: Toy, guest_home: Path) -> None:
    with pytest.raises(RuntimeError), AgentSession(local_transport(), {"toy": toy.runner()}) as session:  # noqa: PT012
        guardian, worker = open_pids(session, toy)
        raise RuntimeError
    wait_until_gone(guardian, 0)
    wait_until_gone(worker, 0)
    assert list((guest_home / "sessions").iterdir()) == []


def test_end_of_standard_input_stops_a_running_bench(toy: Toy, guest_home: Path, own_lease: Path) -> None:
    """A host that is killed in the middle of a measurement leaves neither process nor folder nor lease."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import numpy as np
from pathlib import Path
from support.guests import Toy
from edgekit.devices import AgentSession, BenchPlan, local_transport
toy = Toy(Path({str(toy.folder)!r}), {toy.files!r})
with AgentSession(local_transport(), {{"toy": toy.runner()}}) as session:
    session.push(toy.artifact, toy.files)
    opened = session.open("one", "toy", toy.runner(), toy.files)
    print(opened.fingerprint["parent"], opened.fingerprint["pid"], flush=True)
    plan = BenchPlan(rounds=1000, round_s=1.0)
    session.bench(["one"], {{"one": {{"x": np.ones(3)}}}}, plan, lambda *step: print("step", flush=True))
"""
    host = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    with host.stdout:
        guardian, worker = map(int, host.stdout.readline().split())
        assert host.stdout.readline() == "step\n"
        host.kill()
        host.wait()
    wait_until_gone(guardian, 20)
    wait_until_gone(worker, 0)
    assert list((guest_home / "sessions").iterdir()) == []
    with AgentSession(local_transport(), {}) as session, session.lease():
        pass


def test_ctrl_c_during_a_bench_leaves_nothing(toy: Toy, guest_home: Path) -> None:
    pids: tuple[int, int] = (0, 0)

    def interrupt(done: int, total: int, text: str) -> None:
        if text.startswith("round"):
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), AgentSession(local_transport(), {"toy": toy.runner()}) as session:  # noqa: PT012
        pids = open_pids(session, toy)
        try:
            with session.lease():
                session.bench(["one"], {"one": {"x": X}}, BenchPlan(rounds=1000, round_s=1.0, warm_up_max_s=0.1), interrupt)
        finally:
            session.close_worker("one")  # what a caller tidies up must not wait for the interrupted bench
    assert time.monotonic() - started < 30
    for pid in pids:
        assert not is_running(pid)
    assert list((guest_home / "sessions").iterdir()) == []


OWN_LOOP = """
def fingerprint():
    return {"runtime": "own"}

class Session:
    loop = "own 1"

    def __init__(self, files, options):
        self._times = options["times"]

    def run(self, feeds):
        return feeds

    def bench(self, feeds, **limits):
        return self._times

    def close(self):
        pass
"""


@pytest.mark.parametrize("times", [[], [0.001, 0.0]])
def test_an_own_loop_that_gives_no_times(times: list[float], toy: Toy) -> None:
    """It is that candidate's failure: the others are measured."""
    code = toy.folder / "own_device.py"
    code.write_text(OWN_LOOP)
    runners = {
        key: Runner((code,), "own_device", (), (), {"times": own}) for key, own in (("bad", times), ("good", [0.001, 0.002]))
    }
    feeds = {key: {"x": X} for key in runners}
    with AgentSession(local_transport(), {"own": runners["good"]}) as session:

        def measure(asked: Callable[[], Mapping[str, object]]) -> None:
            for key, runner in runners.items():
                assert isinstance(session.open(key, "own", runner, {}), Opened)
            measured = asked()
            assert not isinstance(measured["good"], RunFailure)
            assert_failed(measured["bad"], "error", "its loop gave no times")
            for key in runners:
                session.close_worker(key)

        measure(lambda: session.bench(list(runners), feeds, BenchPlan(rounds=2)))
        measure(lambda: session.sustain(list(runners), feeds, SustainPlan(0.05)))


def test_a_folder_that_vanishes_ends_no_session(toy: Toy, guest_home: Path) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        shutil.rmtree(guest_home / "blobs")
        with pytest.raises(DeviceRunError, match="need failed") as caught:
            session.push(toy.artifact, toy.files)
        assert "No such file or directory" in caught.value.why
        assert session.probe().cores >= 1
