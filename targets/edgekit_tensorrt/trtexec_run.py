"""Runs trtexec: finds it, asks it what it is, follows its lines, and says in words why it failed.

A guest file: it is copied to the device on its own, imports the standard library alone, and keeps to Python 3.8.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Sequence

if TYPE_CHECKING:
    from edgekit_tensorrt import trtexec_flags, trtexec_text
else:  # beside this file on the device
    import trtexec_flags
    import trtexec_text

USUAL_PATH = "/usr/src/tensorrt/bin/trtexec"  # JetPack's and the Debian packages'
STAND_IN_VARIABLE = "EDGEKIT_STAND_IN"
HELP_TIMEOUT_S = 120.0
_MAX_LINE_BYTES = 1 << 16
_KEPT_LINES = 4000
_PR_SET_PDEATHSIG = 1
NO_MEMORY = re.compile(
    r"out of memory|outofmemory|std::bad_alloc|insufficient memory|cannot allocate memory|Cuda failure: 2\b", re.IGNORECASE
)
_NO_GPU = re.compile(
    r"no CUDA-capable device|driver version is insufficient|CUDA initialization failure|Cuda failure: (?:100|35|999)\b"
    r"|NvRmMem\w+Init.*failed",
    re.IGNORECASE,
)


class Finished(NamedTuple):
    """``text``: what it printed, the middle left out when there was too much of it. ``oom_kills``: by the kernel, meanwhile."""

    argv: list[str]
    code: int
    text: str
    elapsed_s: float
    oom_kills: int


def root() -> str:
    """``/``, or the folder below which a device that stands in for another one has that one's files."""
    folder = os.environ.get(STAND_IN_VARIABLE, "")
    return folder if folder.startswith("/") and os.path.isdir(folder) else "/"


def find() -> str | None:
    """trtexec on the PATH, or where NVIDIA's packages put it."""
    usual = os.path.join(root(), USUAL_PATH[1:])
    return shutil.which("trtexec") or (usual if os.access(usual, os.X_OK) else None)


@functools.lru_cache(maxsize=4)
def ask(path: str) -> trtexec_flags.Tool:
    """Its version and options, from its own words.

    Raises:
        UnsupportedError: it does not say, or its version is not supported.
    """
    finished = run([path, "--help"], HELP_TIMEOUT_S)
    version = trtexec_text.parse_version(finished.text)
    if version is None:
        raise trtexec_flags.UnsupportedError(
            "%s does not say which version it is (it ended with %d: %s); run it by hand with --help"
            % (path, finished.code, last_words(finished))
        )
    trtexec_flags.check_version(version)
    return trtexec_flags.Tool(path, version, trtexec_text.parse_options(finished.text))


def run(
    argv: Sequence[str], timeout_s: float | None, on_line: Callable[[str], Any] | None = None, cwd: str | None = None
) -> Finished:
    """Run it to its end. It dies with this process, and is killed when ``timeout_s`` is over.

    Raises:
        TimeoutError: it took too long.
        OSError: it cannot be started.
    """
    began = time.monotonic()
    kills_before = out_of_memory_kills()
    process = subprocess.Popen(
        list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd, preexec_fn=_die_with_parent
    )  # fmt: skip
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(timeout_s, expire) if timeout_s is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    first: list[str] = []
    last: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
    stdout = process.stdout
    assert stdout is not None
    try:
        for raw in iter(lambda: stdout.readline(_MAX_LINE_BYTES), b""):
            line = raw.decode("utf-8", "replace").rstrip("\n")
            (first if len(first) < _KEPT_LINES else last).append(line)
            if on_line is not None:
                on_line(line)
        code = process.wait()
    finally:
        if timer is not None:
            timer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
        stdout.close()
    if expired.is_set():
        raise TimeoutError(
            "trtexec did not end within %g s and was killed; the model is too much for this board, or the GPU is in use"
            % (timeout_s or 0)
        )
    return Finished(
        list(argv), code, "\n".join([*first, *last]), time.monotonic() - began, max(0, out_of_memory_kills() - kills_before)
    )


def must_pass(finished: Finished, doing: str) -> Finished:
    """``finished`` if trtexec says that it passed.

    Raises:
        MemoryError: it ran out of memory.
        UnsupportedError, RuntimeError: anything else; the text says what, why and what to do.
    """
    if finished.code == 0 and trtexec_text.passed(finished.text) is not False:
        return finished
    raise failure(finished, doing)


def failure(finished: Finished, doing: str) -> Exception:
    """Why it failed, in words."""
    text, code = finished.text, finished.code
    errors = trtexec_text.parse_errors(text)
    said = "; ".join(errors[:3]) or last_words(finished)
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        if finished.oom_kills:
            return MemoryError(
                "the kernel killed trtexec while it was %s: the board is out of memory; end other programs (the desktop too), "
                "add swap, or build with less scratch memory" % doing
            )
        return RuntimeError(
            "trtexec was killed while it was %s (signal 9): by somebody, or for lack of memory; see dmesg, and try again" % doing
        )
    if NO_MEMORY.search(text):
        return MemoryError(
            "trtexec ran out of memory while it was %s: %s; end other programs that use the GPU, or add swap" % (doing, said)
        )
    unknown = [error for error in errors if error.startswith("Unknown option")]
    if unknown:
        return trtexec_flags.UnsupportedError("trtexec refuses an option that its --help lists: %s; please report it" % unknown[0])
    if _NO_GPU.search(text):
        return RuntimeError(
            "trtexec cannot use the GPU: %s; is the driver loaded, and is this user in the groups video and render?" % said
        )
    if code < 0:
        return RuntimeError("trtexec crashed while it was %s (signal %d): %s" % (doing, -code, said))
    return RuntimeError("trtexec failed while it was %s: %s" % (doing, said))


def last_words(finished: Finished) -> str:
    lines = [trtexec_text.message(line)[1] for line in finished.text.split("\n")]
    return " / ".join([line for line in lines if line and not line.startswith("&&&&")][-3:])[:600] or "it printed nothing"


def available_bytes() -> int | None:
    """What could be had now without swapping; on a Jetson the GPU has no memory but this."""
    found = re.search(r"^MemAvailable:\s*(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def out_of_memory_kills() -> int:
    found = re.search(r"^oom_kill (\d+)$", _read("/proc/vmstat"), re.MULTILINE)
    return int(found.group(1)) if found else 0


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 16)
    except OSError:
        return ""


def _die_with_parent() -> None:
    """A child of a worker that is killed must not go on holding the GPU."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(Exception):
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
