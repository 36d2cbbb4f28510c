"""A worker's end, asked for by two threads at once: the session ends while its clean-up is overdue."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from edgekit.agent import workers
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
