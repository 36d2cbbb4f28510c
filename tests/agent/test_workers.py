"""A worker's end, asked for by two threads at once: the session ends while its clean-up is overdue."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from pathlib import Path

import pytest

from edgekit.agent import workers
from edgekit.agent.errors import RunError
from edgekit.agent.workers import Worker

WAITS = "import sys\nsys.stdin.buffer.read()\n"


def test_two_threads_may_end_one_worker(tmp_path: Path) -> None:
    program = tmp_path / "waits.py"  # in place of the zipapp: it is started with the same arguments and reads until it is ended
    program.write_text(WAITS)
    stop_fd, other_end = os.pipe()

    def end(worker: Worker, together: threading.Barrier) -> None:
        together.wait()
        worker.kill()  # what it raises in a thread fails the test: pytest makes it a warning, and warnings are errors here

    try:
        for _ in range(10):
            worker = Worker(str(program), "null", "device", log=lambda _: None, stop_fd=stop_fd)
            together = threading.Barrier(4)
            threads = [threading.Thread(target=end, args=(worker, together)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(workers._END_WAIT_S + 10)
            assert not any(thread.is_alive() for thread in threads)
            assert worker._process.returncode is not None
    finally:
        os.close(stop_fd)
        os.close(other_end)


def test_a_process_that_does_not_die_does_not_keep_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that hangs holds its process in the kernel, where no signal reaches it."""
    program = tmp_path / "waits.py"
    program.write_text(WAITS)
    stop_fd, other_end = os.pipe()
    monkeypatch.setattr(workers, "_KILL_WAIT_S", 0.1, raising=False)
    try:
        worker = Worker(str(program), "null", "device", log=lambda _: None, stop_fd=stop_fd)
        process, killed = worker._process, threading.Event()

        def hangs(timeout: float | None = None) -> int:
            killed.wait(timeout)
            raise subprocess.TimeoutExpired("waits", timeout or 0.0)

        monkeypatch.setattr(process, "wait", hangs)
        ends = threading.Thread(target=worker.kill)
        ends.start()
        ends.join(workers._END_WAIT_S + 10)
        ended = not ends.is_alive()
        monkeypatch.undo()
        killed.set()
        process.wait()
        assert ended
    finally:
        os.close(stop_fd)
        os.close(other_end)


def test_a_device_that_can_start_no_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(subprocess, "Popen", refuses)
    with pytest.raises(RunError, match="a worker cannot be started: Cannot allocate memory") as caught:
        Worker("none", "null", "device", log=lambda _: None, stop_fd=0)
    assert caught.value.kind == "out-of-memory"
