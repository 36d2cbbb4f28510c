"""The guardian's side of a worker: start it, ask it, and say what became of it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from typing import Any, Callable, Dict, Optional, Union

from .errors import RunError
from .frames import Frame, FrameError, FrameReader, encode_header
from .memory import out_of_memory_kills, process_bytes
from .stdio import Deadline

_END_WAIT_S = 2.0
_KILL_WAIT_S = 5.0  # gigabytes take a while to be given back
_TAIL_BYTES = 2000
_MAX_LOG_BYTES = 1 << 16
Log = Callable[[str], None]


class Worker:
    """One worker process in a process group of its own. It dies with the guardian, also when that is killed.

    Args:
        zipapp: the running zipapp, from which the worker starts as well.
        log: receives what the worker and its runtime print.
        stop_fd: readable once the session ends; every wait then raises Stop.

    Raises:
        RunError: the device cannot start another process.
    """

    def __init__(self, zipapp: str, target: str, entry: str, *, log: Log, stop_fd: int) -> None:
        self._stop_fd = stop_fd
        self._kills_before = out_of_memory_kills()
        self._next_id = 0
        self._paused = False
        self._closing = threading.Lock()
        self.failure: Optional[RunError] = None
        lifeline, self._lifeline = os.pipe()
        try:
            argv = [sys.executable, zipapp, "--worker", target, entry, str(lifeline), str(os.getpid()), zipapp]
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, pass_fds=(lifeline,),
                start_new_session=True,
            )  # fmt: skip
        except OSError as problem:
            os.close(self._lifeline)
            kind = "out-of-memory" if problem.errno == errno.ENOMEM else "error"
            raise RunError(kind, "a worker cannot be started: %s" % (problem.strerror or problem)) from problem
        finally:
            os.close(lifeline)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input_fd = self._process.stdin.fileno()
        self._output_fd = self._process.stdout.fileno()
        os.set_blocking(self._input_fd, False)
        self._tail = b""
        self._drain = threading.Thread(target=self._drain_stderr, args=(log,), name="worker-stderr", daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def rss_bytes(self) -> int:
        return process_bytes(self.pid)["rss"] or 0

    def call(
        self, op: str, fields: Dict[str, Any], payload: Union[bytes, bytearray] = b"", *, timeout_s: Optional[float],
        on_progress: Optional[Callable[[Frame], None]] = None,
    ) -> Frame:  # fmt: skip
        """Ask the worker and wait for its answer.

        Raises:
            RunError: the candidate failed. Unless its kind came from the worker itself the process is gone, and ``failure`` is set.
            Stop: the session ends.
        """
        if self.failure is not None:
            raise self.failure
        self._next_id += 1
        deadline = Deadline(timeout_s, self._stop_fd)
        reader = FrameReader(deadline.reader(self._output_fd))
        try:
            deadline.write_all(self._input_fd, [encode_header(self._next_id, op, fields, len(payload)), payload])
            while True:
                frame = reader.frame()
                if frame is None:
                    raise self._ended(op)
                if frame.op == "result":
                    return frame
                if frame.op == "error":
                    raise RunError(str(frame.fields["kind"]), str(frame.fields["message"]))
                if on_progress is not None:
                    on_progress(frame)
        except TimeoutError:
            self.kill()
            self.failure = RunError("timeout", "%s did not end within %g s and was killed" % (op, timeout_s or 0.0))
            raise self.failure from None
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended(op) from None
        except FrameError as problem:
            if self._process.poll() is not None:
                raise self._ended(op) from problem
            self.kill()
            self.failure = RunError("error", "the worker broke the protocol during %s: %s" % (op, problem))
            raise self.failure from problem

    def pause(self) -> None:
        """Stop the process, so that its spinning threads do not disturb another's measurement."""
        os.killpg(self.pid, signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            os.killpg(self.pid, signal.SIGCONT)
            self._paused = False

    def close(self) -> None:
        """Let the runner close its session; kill the process if it does not end."""
        with contextlib.suppress(RunError):
            self.resume()
            self.call("close", {}, timeout_s=_END_WAIT_S)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_WAIT_S)
        self.kill()

    def kill(self) -> None:
        """End the process and its children; never raises, may be called again and from any thread."""
        if self._lifeline < 0:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that hangs in a driver: the session must end all the same
            self._process.wait(_KILL_WAIT_S)
        with self._closing:
            self._close_streams()

    def _close_streams(self) -> None:
        if self._lifeline < 0:
            return  # another thread was here first
        self._drain.join(_END_WAIT_S)
        streams = [self._process.stdin, self._process.stdout]
        if not self._drain.is_alive():  # a descendant that left the group may still hold the other end
            streams.append(self._process.stderr)
        for stream in streams:
            if stream is not None:
                stream.close()
        os.close(self._lifeline)
        self._lifeline = -1

    def _ended(self, op: str) -> RunError:
        """What the end of the process means for the candidate."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_WAIT_S)
        status = self._process.poll()
        self.kill()
        tail = self._tail.decode("utf-8", "replace").strip()
        said = "; it had printed: %s" % tail if tail else ""
        kind = "crash"
        if status is None:
            how = "closed its output and went on"
        elif status >= 0:
            how = "ended with exit status %d" % status
        else:
            how = "was killed by %s" % _signal_name(-status)
            kills = out_of_memory_kills()
            if -status == signal.SIGKILL and kills is not None and self._kills_before is not None and kills > self._kills_before:
                kind, how = "out-of-memory", how + " (the kernel had run out of memory)"
        self.failure = RunError(kind, "the worker %s during %s%s" % (how, op, said))
        return self.failure

    def _drain_stderr(self, log: Log) -> None:
        assert self._process.stderr is not None
        fd = self._process.stderr.fileno()
        logged = 0
        while True:
            some = os.read(fd, 4096)
            if not some:
                return
            self._tail = (self._tail + some)[-_TAIL_BYTES:]
            if logged < _MAX_LOG_BYTES:
                log(some.decode("utf-8", "replace"))
            logged += len(some)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number
