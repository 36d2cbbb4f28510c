"""The worker: a child process that runs one candidate. Whatever the runtime does to it, the guardian and the session live on."""

from __future__ import annotations

import array
import importlib
import importlib.abc
import json
import math
import os
import re
import signal
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from .affinity import pin
from .errors import RunError
from .frames import Frame, FrameReader, encode_header
from .memory import process_bytes
from .stdio import write_all
from .tensors import decode, encode
from .timing import burst, warm_up, work

_PR_SET_PDEATHSIG = 1
_MAX_MESSAGE_CHARACTERS = 2000
_OUT_OF_MEMORY = re.compile(r"bad_alloc|out of memory|failed to allocate memory|cannot allocate memory", re.IGNORECASE)
Reply = Tuple[Dict[str, Any], bytes]


def main(arguments: Sequence[str], input_fd: int, output_fd: int) -> int:
    """Serve one guardian. ``arguments``: target, entry module, lifeline descriptor, guardian's process id, zipapp."""
    target, entry, lifeline_fd, guardian_pid, zipapp = arguments
    dies_with_guardian = _die_with_guardian(int(lifeline_fd), int(guardian_pid))
    sys.meta_path.insert(0, _NoEdgekit())
    sys.path.insert(0, os.path.join(zipapp, "runners", target))
    worker = _Worker(entry, dies_with_guardian, output_fd)
    reader = FrameReader(lambda size: os.read(input_fd, size))
    while True:
        frame = reader.frame()
        if frame is None:
            return 0
        try:
            fields, payload = worker.serve(frame)
            event = "result"
        except RunError as failure:
            event, fields, payload = "error", failure.to_json(), b""
        write_all(output_fd, [encode_header(frame.id, event, fields, len(payload)), payload])
        if frame.op == "close":
            return 0


class _NoEdgekit(importlib.abc.MetaPathFinder):
    """A runner may not import edgekit, also where it happens to be installed: on a board it is not."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002 - the protocol of finders
        if fullname == "edgekit" or fullname.startswith("edgekit."):
            raise ImportError("a runner must not import edgekit: it is not installed on devices", name="edgekit")


def _die_with_guardian(lifeline_fd: int, guardian_pid: int) -> bool:
    """End this process and its children when the guardian ends, however it ends.

    The guardian alone holds the other end of the lifeline, so reading it returns when the guardian is gone. On Linux the kernel
    also kills this process then, even when it is stopped or hangs inside a runtime.

    Returns:
        Whether the kernel does so.
    """

    def watch() -> None:
        os.read(lifeline_fd, 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes  # small Pythons on boards are built without it

        refused = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return False
    if refused:
        return False
    if os.getppid() != guardian_pid:  # it went before the kernel was told
        os._exit(1)
    return True


class _Worker:
    """The operations of a worker on one session of one runner."""

    def __init__(self, entry: str, dies_with_guardian: bool, output_fd: int) -> None:
        self._entry = entry
        self._dies_with_guardian = dies_with_guardian
        self._output_fd = output_fd
        self._module: Any = None
        self._session: Any = None
        self._feed: Dict[str, Any] = {}
        self._first_inference_s: Optional[float] = None

    def serve(self, frame: Frame) -> Reply:
        operations: Dict[str, Callable[[Frame], Reply]] = {
            "fingerprint": self._fingerprint, "prepare": self._prepare, "open": self._open, "infer": self._infer,
            "layers": self._layers, "feed": self._take_feed, "warm-up": self._warm_up, "burst": self._burst, "work": self._work,
            "close": self._close,
        }  # fmt: skip
        return operations[frame.op](frame)

    def _load_module(self) -> Any:
        if self._module is None:
            self._module = _runner_call("import", lambda: importlib.import_module(self._entry))
        return self._module

    def _fingerprint(self, frame: Frame) -> Reply:  # noqa: ARG002 - every operation takes its frame
        """What a build here depends on; ``supported``: this runner builds at all."""
        module = self._load_module()
        if not hasattr(module, "prepare"):
            return {"supported": False}, b""
        return {"supported": True, "fingerprint": _plain(_runner_call("fingerprint", module.fingerprint), "fingerprint")}, b""

    def _prepare(self, frame: Frame) -> Reply:
        module = self._load_module()

        def emit(message: str) -> None:
            line = encode_header(frame.id, "progress", {"message": str(message)[:_MAX_MESSAGE_CHARACTERS]})
            write_all(self._output_fd, [line])

        fields = frame.fields
        _runner_call("prepare", lambda: module.prepare(fields["files"], fields["options"], fields["workdir"], emit))
        return {}, b""

    def _open(self, frame: Frame) -> Reply:
        module = self._load_module()
        fields = frame.fields
        start = time.perf_counter()
        self._session = _runner_call("load", lambda: module.Session(fields["files"], fields["options"]))
        load_s = time.perf_counter() - start
        effective = _plain(getattr(self._session, "effective", {}), "effective")
        fingerprint = _plain(_runner_call("fingerprint", module.fingerprint), "fingerprint")
        reply = {"load_s": load_s, "effective": effective, "fingerprint": fingerprint, "pausable": self._dies_with_guardian}
        if self._own_loop is not None:
            reply["loop"] = self._own_loop
        return {**reply, **self._state()}, b""

    def _infer(self, frame: Frame) -> Reply:
        feed = _runner_call("infer", lambda: decode(frame.fields["tensors"], frame.payload))
        outputs = self._run_once(feed)
        if not isinstance(outputs, Mapping):
            raise RunError("error", "run returned %s instead of a dictionary of outputs" % type(outputs).__name__)
        entries, payload = _runner_call("infer", lambda: encode(outputs))
        return {"tensors": entries, **self._state()}, payload

    def _layers(self, frame: Frame) -> Reply:
        feed = _runner_call("infer", lambda: decode(frame.fields["tensors"], frame.payload))
        for _ in range(1 if self._own_loop is not None else frame.fields["runs"]):
            self._run_once(feed)
        return {}, json.dumps(_plain(_runner_call("layers", self._session.layers), "layers")).encode()

    def _take_feed(self, frame: Frame) -> Reply:
        self._feed = _runner_call("feed", lambda: decode(frame.fields["tensors"], frame.payload))
        pin(frame.fields["cpus"])
        return {}, b""

    def _warm_up(self, frame: Frame) -> Reply:
        start = time.perf_counter()
        self._run_once(self._feed)
        first_s = time.perf_counter() - start
        if self._own_loop is not None:  # it warms up before each burst by itself, and nobody sees whether that was enough
            done = {"n": 1, "elapsed_s": first_s, "steady": None}
            return {"warm_up": done, **self._state()}, b""
        run, feed, fields = self._session.run, self._feed, frame.fields
        done = _runner_call("run", lambda: warm_up(lambda: run(feed), **fields))
        done["n"] += 1
        done["elapsed_s"] += first_s
        return {"warm_up": done, **self._state()}, b""

    def _burst(self, frame: Frame) -> Reply:
        run, feed, fields = self._session.run, self._feed, frame.fields
        if self._own_loop is not None:
            bench = self._session.bench
            samples = _runner_call("bench", lambda: _times(bench(feed, **fields)))
        else:
            samples = _runner_call("run", lambda: burst(lambda: run(feed), **fields))
        if sys.byteorder == "big":
            samples.byteswap()
        details = _plain(getattr(self._session, "details", {}), "details")
        return {"details": details, **self._state()}, samples.tobytes()

    def _work(self, frame: Frame) -> Reply:
        run, feed, fields = self._session.run, self._feed, frame.fields
        if self._own_loop is not None:
            own_work = self._session.work
            done = _plain(_runner_call("work", lambda: own_work(feed, **fields)), "work")
        else:
            done = _runner_call("run", lambda: work(lambda: run(feed), **fields))
        return {"worked": done, **self._state()}, b""

    def _close(self, frame: Frame) -> Reply:  # noqa: ARG002 - every operation takes its frame
        if self._session is not None:
            _runner_call("close", self._session.close)
        return {}, b""

    @property
    def _own_loop(self) -> Optional[str]:
        """The name of the runner's own loop, where it times inferences better than the agent can (another program runs them)."""
        loop = getattr(self._session, "loop", None)
        return None if loop is None else str(loop)[:40]

    def _run_once(self, feed: Dict[str, Any]) -> Any:
        start = time.perf_counter()
        outputs = _runner_call("run", lambda: self._session.run(feed))
        if self._first_inference_s is None:
            self._first_inference_s = time.perf_counter() - start
        return outputs

    def _state(self) -> Dict[str, Any]:
        return {"first_inference_s": self._first_inference_s, "peak_memory_bytes": process_bytes()["peak"]}


def _runner_call(step: str, function: Callable[[], Any]) -> Any:
    """Call into the runner. Whatever it raises is this candidate's failure; the traceback goes to the log.

    Raises:
        RunError: with the kind that the exception points to.
    """
    try:
        return function()
    except Exception as problem:
        traceback.print_exc()
        sys.stderr.flush()
        message = ("%s: %s: %s" % (step, type(problem).__name__, problem))[:_MAX_MESSAGE_CHARACTERS]
        raise RunError(_kind(problem), message) from problem


def _times(samples: Sequence[float]) -> "array.array[float]":
    """What a runner's own loop measured; raises ValueError where it is no times."""
    if not samples or not all(0 < sample < math.inf for sample in samples):
        raise ValueError("its loop gave no times: %.100r" % (samples,))
    return array.array("d", samples)


def _kind(problem: Exception) -> str:
    if isinstance(problem, MemoryError) or _OUT_OF_MEMORY.search(str(problem)):
        return "out-of-memory"
    if isinstance(problem, ImportError) and problem.name != "edgekit":
        return "missing-runtime"
    return "error"


def _plain(value: Any, name: str) -> Any:
    """``value`` if it is plain JSON.

    Raises:
        RunError: the runner returned something else.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as problem:
        raise RunError("error", "%s is not plain JSON: %s" % (name, problem)) from problem
