"""Running a script in a toolchain: files in, files out, bounded in time and memory, its last words in the error."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ModelError
from .toolchain import Toolchain, ensure

_log = logging.getLogger(__name__)
_LAUNCHER = Path(__file__).with_name("toolchain_launcher.py")
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")  # where libraries are; nothing else of the user's
_TAIL_BYTES = 16_384


@dataclass(frozen=True)
class Limits:
    """What a call may use. ``memory_bytes`` is of address space, which is more than what is used; not held on macOS."""

    time_s: float = 900.0
    memory_bytes: int = 16 << 30


def run(
    toolchain: Toolchain,
    script: Path,
    arguments: Sequence[str],
    *,
    work: Path,
    what: str,
    hint: str = "",
    limits: Limits | None = None,
) -> None:
    """Run ``script`` with the toolchain's Python; it finds its input in the folder ``work`` and leaves its output there.

    Args:
        script: a file of its own; it can import the toolchain's packages, and nothing of edgekit's.
        arguments: its command line; paths in it are best relative to ``work``, which is its working directory.
        work: a folder of the caller's; ``log.txt`` in it takes what the script prints.
        what: has failed, where it fails; ``hint``: what to do then.

    Raises:
        ModelError: it ended with an error, was ended by a signal, or took too long; says what it said last.
        DependencyError: the toolchain cannot be had (:func:`edgekit.toolchain.ensure`).
    """
    limits = limits or Limits()
    with ensure(toolchain) as environment, (work / "log.txt").open("w+b") as log:
        command = [
            str(environment.python),
            "-I",
            "-B",
            str(_LAUNCHER),
            str(limits.memory_bytes),
            str(script.absolute()),
            *arguments,
        ]
        child = subprocess.Popen(
            command, env=_environment(work), cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            code: int | None = child.wait(limits.time_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:  # also on Ctrl-C; the session, because it may have started more
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        log.seek(max(log.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        lines = _lines(log.read())
    for line in lines:
        _log.info("%s: %s", toolchain.name, line)
    if code != 0:
        raise ModelError(what, why=_why(code, lines, limits), hint=hint)


def _environment(work: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {"HOME": str(work), "TMPDIR": str(work), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "2", "MALLOC_ARENA_MAX": "2"}
    return kept | own | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"}


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace").replace("\r", "\n")
    plain = ("".join(character for character in line if character.isprintable()).strip() for line in text.split("\n"))
    return [line for line in plain if line]


def _why(code: int | None, lines: Sequence[str], limits: Limits) -> str:
    if code is None:
        return f"it took over {limits.time_s:g} s"
    last = lines[-1][:500] if lines else ""
    if "MemoryError" in last or "bad_alloc" in last:
        return f"it needs more than the {limits.memory_bytes >> 20} MiB of memory that it may use"
    ended = f"it was ended by signal {-code}" if code < 0 else "" if last else f"it ended with code {code}"
    return ": ".join(filter(None, (ended, last)))
